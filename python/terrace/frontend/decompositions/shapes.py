"""Ops that move elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import statically_known_true

aten = torch.ops.aten


def split_with_sizes(value: torch.Tensor, sizes: Sequence[int], dim: int = 0) -> list[torch.Tensor]:
    """The parts as slices: each is then an op with one result."""
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [aten.slice.Tensor(value, dim, start, start + size) for start, size in zip(starts, sizes, strict=True)]


def roll(value: torch.Tensor, shifts: Sequence[int], dims: Sequence[int] = ()) -> torch.Tensor:
    """Rolled in each dimension; torch-mlir's own is wrong for shifts beyond the size."""
    if not dims:
        return aten.view(roll_dimension(aten.view(value.contiguous(), [-1]), shifts[0], 0), list(value.shape))
    for shift, dim in zip(shifts, dims, strict=True):
        value = roll_dimension(value, shift, dim)
    return value


def roll_dimension(value: torch.Tensor, shift: int, dim: int) -> torch.Tensor:
    """Two slices, exchanged; a gather where the place to cut is known when the program runs."""
    size = value.shape[dim]
    if not (isinstance(size, int) and isinstance(shift, int)):
        places = torch.remainder(torch.arange(size, device=value.device) - shift, size)
        return aten.index_select.default(value, dim, places)
    place = -shift % size if size else 0
    if place == 0:
        return value
    parts = [aten.slice.Tensor(value, dim, place, size), aten.slice.Tensor(value, dim, 0, place)]
    return aten.cat.default(parts, dim)


def constant_pad_nd(value: torch.Tensor, pad: Sequence[int], filler: float = 0) -> torch.Tensor:
    """Padded by sizes that are known when the program runs, and cut where one is negative then."""
    known = [statically_known_true(amount >= 0) for amount in pad]
    if all(isinstance(amount, int) for amount in pad) or all(known):
        return NotImplemented
    cuts = [0 if is_known else torch.sym_max(-amount, 0) for amount, is_known in zip(pad, known, strict=True)]
    for dim, before, after in zip(reversed(range(value.ndim)), cuts[::2], cuts[1::2], strict=False):
        if not (isinstance(before, int) and before == 0 and isinstance(after, int) and after == 0):
            value = aten.slice.Tensor(value, dim, before, value.shape[dim] - after)
    rest = [amount if is_known else torch.sym_max(amount, 0) for amount, is_known in zip(pad, known, strict=True)]
    return aten.constant_pad_nd.default(value, rest, filler)


def squeeze(value: torch.Tensor, axis: int) -> torch.Tensor:
    """An axis whose size is arithmetic that the model's sizes make 1: torch-mlir asks for a number."""
    size = value.shape[axis] if value.ndim else 1
    if isinstance(size, int) or size != 1:
        return NotImplemented
    return aten.select.int(value, axis, 0)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.constant_pad_nd.default: constant_pad_nd,
    aten.roll.default: roll,
    aten.split_with_sizes.default: split_with_sizes,
    aten.squeeze.dim: squeeze,
}
