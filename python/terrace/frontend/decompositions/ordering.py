"""Sorting and what is made of it, extremes with their places, searches: NaN is larger than any number, as in PyTorch.

torch-mlir's own compare by `<` and `>`, which leaves NaN where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload

from terrace.frontend import own_operators
from terrace.frontend.own_operators import arg_scan, argsort, scan

aten = torch.ops.aten
FEW = 32
"""More than so many of the first elements are cheaper to have from a whole order."""

Pair = tuple[torch.Tensor, torch.Tensor]


def along(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(value, ...)`, which needs a dimension, also for a tensor of rank 0: it is one element there."""

    def decompose(value: torch.Tensor, *args: Any, **keywords: Any) -> Any:
        if value.ndim:
            return function(value, *args, **keywords)
        found = function(value.reshape(1), *args, **keywords)
        return tuple(part.reshape(()) for part in found) if isinstance(found, tuple) else found.reshape(())

    return decompose


def elements_at(value: torch.Tensor, dim: int, places: torch.Tensor, keepdim: bool = True) -> Pair:
    """The elements at `places` along `dim`, and the places; `keepdim` false drops that dimension, of size 1."""
    picked = aten.gather.default(value, dim, places)
    return (picked, places) if keepdim else (picked.squeeze(dim), places.squeeze(dim))


def places_in_order(value: torch.Tensor, dim: int = -1, descending: bool = False) -> torch.Tensor:
    return argsort(value, dim, descending)


def places_in_stable_order(
    value: torch.Tensor, *, stable: bool, dim: int = -1, descending: bool = False
) -> torch.Tensor:
    """All of our sorts are stable."""
    return argsort(value, dim, descending)


def sort(value: torch.Tensor, dim: int = -1, descending: bool = False) -> Pair:
    return elements_at(value, dim, argsort(value, dim, descending))


def stable_sort(value: torch.Tensor, *, stable: bool | None, dim: int = -1, descending: bool = False) -> Pair:
    return sort(value, dim, descending)


def topk(value: torch.Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Pair:
    """Few are found without an order of the others."""
    if isinstance(k, int) and 0 < k <= FEW:
        return elements_at(value, dim, own_operators.topk(value, dim, k, largest))
    return elements_at(value, dim, argsort(value, dim, largest).narrow(dim, 0, k))


def kthvalue(value: torch.Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Pair:
    """The k-th of the sorted values; of equal ones, any index."""
    return elements_at(value, dim, argsort(value, dim, False).narrow(dim, k - 1, 1), keepdim)


def median_along(value: torch.Tensor, dim: int, keepdim: bool = False) -> Pair:
    """The lower of the two in the middle; the first NaN if there is one."""
    places = argsort(value, dim, False).narrow(dim, (value.shape[dim] - 1) // 2, 1)
    if value.is_floating_point():
        largest = aten.argmax.default(value, dim, True)
        has_nan = torch.isnan(aten.amax.default(value, [dim], True))
        places = torch.where(has_nan, largest, places)
    return elements_at(value, dim, places, keepdim)


def nanmedian_along(value: torch.Tensor, dim: int, keepdim: bool = False) -> Pair:
    """The same of the numbers alone; the first NaN if there is none."""
    if not value.is_floating_point():
        return median_along(value, dim, keepdim)
    count = torch.logical_not(torch.isnan(value)).sum(dim, keepdim=True)
    middle = torch.div((count - 1).clamp(min=0), 2, rounding_mode="floor")
    places = aten.gather.default(argsort(value, dim, False), dim, middle)
    return elements_at(value, dim, places, keepdim)


def of_all(function: Callable[..., Pair]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same over all elements, without the place; NaN for none."""

    def decompose(value: torch.Tensor) -> torch.Tensor:
        flat = value.reshape(-1)
        if isinstance(flat.shape[0], int) and flat.shape[0] == 0:
            return NotImplemented
        return function(flat, 0)[0]

    return decompose


def mode(value: torch.Tensor, dim: int = -1, keepdim: bool = False) -> Pair:
    """The least of the most frequent values, and the place of the last one of them."""
    order = argsort(value, dim, False)
    ordered = aten.gather.default(value, dim, order)
    size = value.shape[dim]
    shape = [size if axis == dim % value.ndim else 1 for axis in range(value.ndim)]
    steps = torch.arange(size, device=value.device).reshape(shape).expand(value.shape)
    follows = torch.cat([steps.narrow(dim, 0, 1), (steps - 1).narrow(dim, 1, size - 1)], dim)
    starts = torch.where(ordered != aten.gather.default(ordered, dim, follows), steps, 0)
    begin = aten.gather.default(starts, dim, arg_scan(starts, dim, "max"))
    best = aten.argmax.default(steps - begin, dim, True)
    return elements_at(value, dim, aten.gather.default(order, dim, best), keepdim)


def extreme_along(
    reduction: OpOverload, place: Callable[[torch.Tensor, int, bool], torch.Tensor]
) -> Callable[..., Pair]:
    """`max` or `min` along a dimension. Which zero is found among zeros of both signs is not said."""

    def decompose(value: torch.Tensor, dim: int, keepdim: bool = False) -> Pair:
        places = place(value, dim, True)
        if value.dtype == torch.bool:
            return elements_at(value, dim, places, keepdim)
        return reduction(value, [dim], keepdim), places if keepdim else places.squeeze(dim)

    return decompose


def cumulative(kind: str) -> Callable[[torch.Tensor, int], Pair]:
    """`cummax` or `cummin`: of equal elements the last, of NaN the last so far."""

    def decompose(value: torch.Tensor, dim: int) -> Pair:
        places = arg_scan(value, dim, kind)
        if value.dtype in (torch.bool, torch.uint8):
            return elements_at(value, dim, places)
        return scan(value, dim, kind), places

    return decompose


def searchsorted(
    boundaries: torch.Tensor,
    value: torch.Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: torch.Tensor | None = None,
) -> torch.Tensor:
    """Where each element would be inserted, by bisection along the last dimension; NaN comes last."""
    if not isinstance(boundaries.shape[-1], int):
        return NotImplemented
    if sorter is not None:
        boundaries = aten.gather.default(boundaries, -1, sorter)
    size, shape = boundaries.shape[-1], value.shape
    if boundaries.ndim == 1:
        value = value.reshape(-1)
    low = torch.zeros_like(value, dtype=torch.int64)
    high = torch.full_like(low, size)
    for _ in range(size.bit_length()):
        middle = torch.div(low + high, 2, rounding_mode="floor")
        element = aten.gather.default(boundaries, -1, middle.clamp(max=size - 1))
        is_found = element > value if right or side == "right" else element >= value
        is_open = low < high
        low = torch.where(torch.logical_and(is_open, torch.logical_not(is_found)), middle + 1, low)
        high = torch.where(torch.logical_and(is_open, is_found), middle, high)
    return low.reshape(shape).to(torch.int32 if out_int32 else torch.int64)


def searchsorted_number(boundaries: torch.Tensor, value: float, **options: Any) -> torch.Tensor:
    """The same for one number."""
    number = torch.full((), value, dtype=torch.result_type(boundaries, value))
    return searchsorted(boundaries, number, **options)


def bucketize_number(value: float, boundaries: torch.Tensor, **options: Any) -> torch.Tensor:
    """The same with the arguments exchanged."""
    return searchsorted_number(boundaries, value, **options)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.argsort.default: along(places_in_order),
    aten.argsort.stable: along(places_in_stable_order),
    aten.bucketize.Scalar: bucketize_number,
    aten.cummax.default: along(cumulative("max")),
    aten.cummin.default: along(cumulative("min")),
    aten.kthvalue.default: along(kthvalue),
    aten.max.dim: along(extreme_along(aten.amax.default, aten.argmax.default)),
    aten.median.default: of_all(median_along),
    aten.median.dim: along(median_along),
    aten.min.dim: along(extreme_along(aten.amin.default, aten.argmin.default)),
    aten.mode.default: along(mode),
    aten.nanmedian.default: of_all(nanmedian_along),
    aten.nanmedian.dim: along(nanmedian_along),
    aten.searchsorted.Scalar: searchsorted_number,
    aten.searchsorted.Tensor: searchsorted,
    aten.sort.default: along(sort),
    aten.sort.stable: along(stable_sort),
    aten.topk.default: along(topk),
}
