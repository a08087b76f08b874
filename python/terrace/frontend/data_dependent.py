"""Ops whose results are as long as the data say: masks as indices, `nonzero`, `unique`.

All places that a mask selects are gathered at the front of a vector as long as the mask, which is then cut to their
number, a number that the program reads from its data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import statically_known_true

from terrace.errors import ModelImportError
from terrace.frontend.source import at_line

aten = torch.ops.aten


def selected(mask: torch.Tensor, expected: int | None = None) -> torch.Tensor:
    """The places at which the vector `mask` holds, in order; so many of them, if that is known."""
    length = mask.shape[0]
    ends = torch.cumsum(mask.to(torch.int64), 0)
    # What is not selected goes to one place behind the last.
    slots = torch.where(mask, ends - 1, length)
    places = torch.arange(length, device=mask.device)
    front = torch.zeros(length + 1, dtype=torch.int64, device=mask.device).scatter(0, slots, places)
    if expected is not None:
        agrees = mask.to(torch.int64).sum() == expected
        torch._assert_async(agrees, "the mask must select as many elements as there are indices beside it")
        return front.narrow(0, 0, expected)
    count: Any = mask.to(torch.int64).sum().item()
    torch._check(count >= 0)
    torch._check(count <= length)
    return front.narrow(0, 0, count)


def coordinates(places: torch.Tensor, shape: Sequence[int]) -> list[torch.Tensor]:
    """Places in a tensor of this shape, as one vector for each dimension."""
    result: list[torch.Tensor] = []
    for size in reversed(shape[1:]):
        result.insert(0, torch.remainder(places, size))
        places = torch.div(places, size, rounding_mode="floor")
    return [places, *result]


def nonzero(value: torch.Tensor) -> torch.Tensor:
    """A row of coordinates for each element that is not zero."""
    places = selected((value != 0).reshape(-1))
    if value.ndim == 0:
        return places.unsqueeze(1)[:, :0]
    return torch.stack(coordinates(places, value.shape), 1)


def index(value: torch.Tensor, indices: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Masks among the indices are vectors of the places where they hold; one alone takes its dimensions as one."""
    masks = [i for i in indices if i is not None and i.dtype in (torch.bool, torch.uint8)]
    if not masks:
        return NotImplemented
    given = [i for i in indices if i is not None]
    if len(given) == 1 and masks[0].ndim > 0:
        (mask,) = masks
        axis = next(axis for axis, i in enumerate(indices) if i is not None)
        shape = value.shape
        merged = value.reshape(*shape[:axis], mask.numel(), *shape[axis + mask.ndim :])
        return torch.index_select(merged, axis, selected((mask != 0).reshape(-1)))
    plain = without_mask(indices)
    return NotImplemented if plain is None else aten.index.Tensor(value, plain)


def without_mask(
    indices: Sequence[torch.Tensor | None], expected: int | None = None
) -> list[torch.Tensor | None] | None:
    """The indices with a vector for each dimension of the mask among them; None if there is no mask, or several."""
    masks = [i for i in indices if i is not None and i.dtype in (torch.bool, torch.uint8)]
    if len(masks) != 1 or masks[0].ndim == 0:
        return None
    plain: list[torch.Tensor | None] = []
    for i in indices:
        is_mask = i is not None and i.dtype in (torch.bool, torch.uint8)
        plain += coordinates(selected((i != 0).reshape(-1), expected), i.shape) if i is not None and is_mask else [i]
    return plain


def index_put(
    value: torch.Tensor, indices: Sequence[torch.Tensor | None], update: torch.Tensor, accumulate: bool = False
) -> torch.Tensor:
    """Writes of several values where a mask holds: each element looks up the value that is its own.

    That of one value is left: the importer makes a select of it. Beside other indices, a mask is the places where it
    holds, of which there must be as many.
    """
    vectors = [i for i in indices if i is not None and i.ndim == 1 and i.dtype == torch.int64]
    if vectors and vectors[0].shape[0] != 1:
        plain = without_mask(indices, vectors[0].shape[0])
        return NotImplemented if plain is None else aten.index_put.default(value, plain, update, accumulate)
    mask = indices[0]
    if len(indices) != 1 or mask is None or mask.dtype != torch.bool or not mask.ndim > 0 or not update.ndim:
        return NotImplemented
    trailing = value.ndim - mask.ndim
    update = update.expand(*update.shape[: update.ndim - trailing], *value.shape[mask.ndim :])
    if update.ndim > trailing and not statically_known_true(update.shape[0] == 1):
        count = mask.to(torch.int64).sum()
        torch._assert_async(count == update.shape[0], "there must be one value for each element that the mask selects")
        update = spread(update.to(value.dtype), mask).reshape(value.shape)
    written = value + update if accumulate else update
    return torch.where(mask.reshape(*mask.shape, *[1] * trailing), written, value)


def spread(update: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """For each element of `mask` the row of `update` that is its own, if the mask holds there; else any."""
    slots = torch.cumsum(mask.reshape(-1).to(torch.int64), 0) - 1
    # The row behind the last is for elements that have none: there may be no row at all.
    padded = torch.cat([update, update.new_zeros([1, *update.shape[1:]])])
    return padded.index_select(0, slots.clamp(min=0, max=update.shape[0]))


def masked_scatter(value: torch.Tensor, mask: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Each element that the mask selects takes the next element of `source`, of which there may be more."""
    value, mask = torch.broadcast_tensors(value, mask)
    has_enough = mask.to(torch.int64).sum() <= source.numel()
    torch._assert_async(has_enough, "there must be one element of the source for each that the mask selects")
    return torch.where(mask, spread(source.reshape(-1), mask).reshape(value.shape), value)


def masked_select(value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The elements where the mask holds."""
    value, mask = torch.broadcast_tensors(value, mask)
    return torch.index_select(value.reshape(-1), 0, selected(mask.reshape(-1)))


def unique(
    value: torch.Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The runs of the sorted elements."""
    ordered, order = torch.sort(value.reshape(-1))
    values, run, counts = runs(ordered)
    inverse = torch.zeros_like(run).scatter(0, order, run).reshape(value.shape)
    nothing = run.new_zeros(0)
    return values, inverse if return_inverse or return_counts else nothing, counts if return_counts else nothing


def unique_consecutive(
    value: torch.Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The runs of the elements."""
    if dim is not None and value.ndim != 1:
        return NotImplemented
    values, run, counts = runs(value.reshape(-1))
    nothing = run.new_zeros(0)
    return values, run.reshape(value.shape) if return_inverse else nothing, counts if return_counts else nothing


def repeat_interleave(repeats: torch.Tensor, *, output_size: int | None = None) -> torch.Tensor:
    """Each number as often as `repeats` says at its place."""
    torch._assert_async((repeats >= 0).all(), "repeats must not be negative")
    ends, total = torch.cumsum(repeats.to(torch.int64), 0), repeats.to(torch.int64).sum()
    if output_size is None:
        length: Any = total.item()
        torch._check(length >= 0)
    else:
        length = output_size
        torch._assert_async(total == length, "output_size must be the sum of the repeats")
    places = torch.arange(length, device=repeats.device)
    return (ends.unsqueeze(0) <= places.unsqueeze(1)).to(torch.int64).sum(1).to(repeats.dtype)


def bincount(value: torch.Tensor, weights: torch.Tensor | None = None, minlength: int = 0) -> torch.Tensor:
    """How often each number occurs, or the sum of the weights of each."""
    torch._assert_async((value >= 0).all(), "numbers to count must not be negative")
    places = value.to(torch.int64).clamp(min=0)
    length: Any = (torch.cat([places, places.new_full([1], minlength - 1)]).amax() + 1).item()
    torch._check(length >= minlength)
    if weights is None:
        weights = torch.ones_like(places)
    elif weights.dtype != torch.float32:
        weights = weights.to(torch.float64)
    return torch.zeros(length, dtype=weights.dtype, device=value.device).scatter_add(0, places, weights)


def runs(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of a vector's runs of equal elements: the first elements, the number of each element's run, the lengths."""
    begins = torch.cat([torch.ones_like(value[:1], dtype=torch.bool), value[1:] != value[:-1]])
    run = torch.cumsum(begins.to(torch.int64), 0) - 1
    first = selected(begins)
    lengths = torch.zeros_like(run).scatter_add(0, run, torch.ones_like(run))
    return torch.index_select(value, 0, first), run, lengths.narrow(0, 0, first.shape[0])


def refuse_masks(graph: torch.fx.Graph) -> None:
    """Raise `ModelImportError` for masks that are left among indices: torch-mlir never ends on these."""
    for node in graph.nodes:
        if node.target not in (aten.index.Tensor, aten.index_put.default):
            continue
        given = [i for i in node.args[1] if i is not None]
        if any(i.meta["val"].dtype in (torch.bool, torch.uint8) for i in given):
            name = f"torch.{node.target}".removesuffix(".default")
            raise ModelImportError(
                f"{name}{at_line(node)} takes a mask beside other indices or of no dimension, which is not supported: "
                "write it with mask.nonzero() and torch.where",
                [name],
            )


DATA_DEPENDENT: dict[Any, Callable[..., Any]] = {
    aten._unique2.default: unique,
    aten.bincount.default: bincount,
    aten.index.Tensor: index,
    aten.index_put.default: index_put,
    aten.masked_scatter.default: masked_scatter,
    aten.masked_select.default: masked_select,
    aten.nonzero.default: nonzero,
    aten.repeat_interleave.Tensor: repeat_interleave,
    aten.unique_consecutive.default: unique_consecutive,
}
