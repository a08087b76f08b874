"""Resizing by linear and cubic interpolation and by antialiased filters, one axis after the other.

Along an axis each element of the result is a weighted sum of a few elements, `resample`: their places and weights are
those of PyTorch's kernels, and constants where sizes are known.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._decomp import decomposition_table

from terrace.frontend.decompositions.resizing import Scale, position_type, scale_of, with_factors
from terrace.frontend.own_operators import resample

aten = torch.ops.aten
Taps = tuple[torch.Tensor, torch.Tensor]
"""Places [n, t] along an axis, and their weights."""

# ---------------------------------------------------------------------------------------------------------------------
# Interpolation
# ---------------------------------------------------------------------------------------------------------------------

CUBIC = -0.75
"""The free number of Keys' filter where PyTorch interpolates; its antialiased filter has -1/2."""


def steps_of(value: torch.Tensor, result: int) -> torch.Tensor:
    return torch.arange(result, dtype=position_type(value), device=value.device)


def positions(value: torch.Tensor, axis: int, result: int, scale: Scale, align_corners: bool) -> torch.Tensor:
    """Where the elements of the result stand, in elements of the input, as a column."""
    size, steps = value.shape[axis], steps_of(value, result).unsqueeze(1)
    if size is result or (isinstance(size, int) and size == result):
        return steps  # Whatever scale is given.
    if not align_corners:
        return (steps + 0.5) * scale_of(size, result, scale) - 0.5
    return steps * ((size - 1) / (result - 1)) if not isinstance(result, int) or result > 1 else steps * 0.0


def linear(value: torch.Tensor, axis: int, result: int, scale: Scale, align_corners: bool) -> Taps:
    """Two neighbours; beyond the ends twice the last."""
    size = value.shape[axis]
    position = positions(value, axis, result, scale, align_corners).clamp(min=0.0)
    first = position.to(torch.int64).clamp(max=size - 1)
    part = (position - first).clamp(0.0, 1.0)
    tap = torch.arange(2, device=value.device)
    return (first + tap).clamp(max=size - 1), torch.where(tap == 0, 1 - part, part)


def keys(x: torch.Tensor, a: float) -> torch.Tensor:
    """Keys' filter at a distance of at most 2."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x <= 1, near, far)


def cubic(value: torch.Tensor, axis: int, result: int, scale: Scale, align_corners: bool) -> Taps:
    """Four neighbours; beyond the ends the last once more."""
    size = value.shape[axis]
    position = positions(value, axis, result, scale, align_corners)
    first = torch.floor(position).to(torch.int64).clamp(max=size - 1)
    part = (position - first).clamp(0.0, 1.0)
    offsets = torch.arange(4, device=value.device) - 1
    return (first + offsets).clamp(0, size - 1), keys((part - offsets).abs(), CUBIC)


def shrinking_first(value: torch.Tensor, sizes: Sequence[int]) -> list[int]:
    """The axes in an order in which little is computed: what shrinks most first, else the last."""

    def growth(axis: int) -> float:
        size, result = value.shape[axis], sizes[axis - 2]
        return result / size if isinstance(size, int) and isinstance(result, int) and size else 1.0

    return sorted(reversed(range(2, value.ndim)), key=growth)


def interpolated(taps: Callable[..., Taps], op: Any) -> Callable[..., torch.Tensor]:
    """The decomposition of `op`, each element of whose result is a sum of those at `taps` along each axis.

    PyTorch's own of integers, which rounds otherwise.
    """

    def decompose(value: torch.Tensor, sizes: Sequence[int], align_corners: bool, *scales: Scale) -> torch.Tensor:
        if not value.is_floating_point():
            return decomposition_table[op](value, sizes, align_corners, *scales)
        wide = value.to(position_type(value))
        for axis in shrinking_first(value, sizes):
            scale = scales[axis - 2] if scales else None
            wide = resample(wide, *taps(wide, axis, sizes[axis - 2], scale, align_corners), axis)
        return wide.to(value.dtype)

    return decompose


def with_options(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`function(value, sizes, align_corners, *scales)` as the overload that takes sizes or factors."""

    def decompose(
        value: torch.Tensor, sizes: Sequence[int] | None, align_corners: bool, factors: Sequence[float] | None
    ) -> torch.Tensor:
        aligned = functools.partial(_aligned, function, align_corners)
        return with_factors(aligned)(value, sizes, factors)

    return decompose


def _aligned(function: Callable[..., torch.Tensor], align_corners: bool, *given: Any) -> torch.Tensor:
    value, sizes, *scales = given
    return function(value, sizes, align_corners, *scales)


# ---------------------------------------------------------------------------------------------------------------------
# Antialiased filters
# ---------------------------------------------------------------------------------------------------------------------


def triangle(x: torch.Tensor) -> torch.Tensor:
    return (1 - x.abs()).clamp(min=0)


def smooth(x: torch.Tensor) -> torch.Tensor:
    """Keys' filter, 0 beyond 2."""
    x = x.abs()
    return torch.where(x < 2, keys(x, -0.5), 0.0)


def lanczos(x: torch.Tensor) -> torch.Tensor:
    """sinc(x) * sinc(x / 3)."""

    def sinc(angle: torch.Tensor) -> torch.Tensor:
        angle = angle * math.pi
        return torch.where(angle == 0, 1.0, torch.sin(angle) / angle)

    return torch.where(x.abs() < 3, sinc(x) * sinc(x / 3), 0.0)


def antialiased(weigh: Callable[[torch.Tensor], torch.Tensor], reach: int) -> Callable[..., torch.Tensor]:
    """The decomposition of an antialiased resize by a filter that is 0 beyond `reach`."""

    def decompose(value: torch.Tensor, sizes: Sequence[int], align_corners: bool, *scales: Scale) -> torch.Tensor:
        if not value.is_floating_point() or not all(isinstance(size, int) for size in (*value.shape[2:], *sizes)):
            return NotImplemented
        for axis in range(value.ndim - 1, 1, -1):
            size, result = value.shape[axis], sizes[axis - 2]
            scale = scale_of(size, result, scales[axis - 2] if scales else None)
            if align_corners:
                scale = (size - 1) / (result - 1) if result > 1 else 0.0
            value = resample(value, *filter_taps(value, axis, result, scale, weigh, reach), axis)
        return value

    return decompose


def filter_taps(
    value: torch.Tensor, axis: int, result: int, scale: float, weigh: Callable[..., torch.Tensor], reach: int
) -> Taps:
    """Weighted means of the elements around each, and of no others, which may be NaN."""
    size, wide = value.shape[axis], max(scale, 1.0)
    support = reach * wide
    center = ((steps_of(value, result) + 0.5) * scale).unsqueeze(1)
    first = (center - support + 0.5).to(torch.int64).clamp(min=0)
    last = (center + support + 0.5).to(torch.int64).clamp(max=size) - 1
    places, shares = window_taps(first, last, math.ceil(support) * 2 + 1, center.dtype)
    weights = weigh((places - center + 0.5) * (1 / wide)) * shares
    return places, weights / weights.sum(1, keepdim=True)


def window_taps(first: torch.Tensor, last: torch.Tensor, count: int, dtype: torch.dtype) -> Taps:
    """The places from `first` to `last`, both columns, as `count` ones, and the part of its element that each is.

    A short window repeats its last element, whose parts add up to 1: a weight of 0 would make NaN of what is infinite.
    """
    places = torch.minimum(first + torch.arange(count, device=first.device), last)
    return places, torch.where(places == last, 1 / (count - (last - first)).to(dtype), 1.0)


_INTERPOLATED = {
    linear: (aten.upsample_linear1d, aten.upsample_bilinear2d, aten.upsample_trilinear3d),
    cubic: (aten.upsample_bicubic2d,),
}

DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    **{op.default: interpolated(taps, op.default) for taps, ops in _INTERPOLATED.items() for op in ops},
    **{op.vec: with_options(interpolated(taps, op.default)) for taps, ops in _INTERPOLATED.items() for op in ops},
    aten._upsample_bicubic2d_aa.default: antialiased(smooth, 2),
    aten._upsample_bilinear2d_aa.default: antialiased(triangle, 1),
    aten._upsample_lanczos2d_aa.default: antialiased(lanczos, 3),
}
