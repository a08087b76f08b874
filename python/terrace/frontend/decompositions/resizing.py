"""Resizing by nearest neighbours and by antialiased filters, with PyTorch's own arithmetic of places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from terrace.frontend.own_operators import resize_nearest

aten = torch.ops.aten
Scale = float | None

SMALL = 128
"""The sum of a result's sides up to which an image is small to PyTorch."""

FINEST = 1024
"""The largest denominator of a factor by which sizes are multiplied in whole numbers."""


def position_type(value: torch.Tensor) -> torch.dtype:
    """The type in which PyTorch computes places."""
    return torch.float64 if value.dtype == torch.float64 else torch.float32


def scale_of(size: int, result: int, scale: Scale) -> float:
    """Input elements for each element of the result."""
    return size / result if scale is None or scale <= 0 else 1 / scale


# ---------------------------------------------------------------------------------------------------------------------
# Nearest neighbours
# ---------------------------------------------------------------------------------------------------------------------


def nearest_places(
    value: torch.Tensor, axis: int, result: int, scale: float | torch.Tensor, offset: float
) -> torch.Tensor:
    """floor((i + offset) * scale), none beyond the last."""
    size = value.shape[axis]
    steps = torch.arange(result, dtype=position_type(value), device=value.device)
    if offset:
        steps = steps + offset
    places = torch.floor(steps * scale).to(torch.int64)
    return torch.minimum(places, torch.full((), size - 1, dtype=torch.int64))


def takes_whole_factors(value: torch.Tensor, sizes: Sequence[int]) -> bool:
    """Whether PyTorch repeats elements once or twice where the sizes say so, whatever scale is given.

    One of its two kernels for images does: that for small ones, and for channels last.
    """
    if value.ndim != 4:
        return False
    return sum(sizes) <= SMALL or (value.shape[1] > 3 and value.is_contiguous(memory_format=torch.channels_last))


def scale_at_call(value: torch.Tensor, axis: int, sizes: Sequence[int], scale: float) -> torch.Tensor:
    """The scale along an axis of an image of any size, as the kernel that PyTorch takes for that size has it."""
    size, result, total = (
        torch.full((), number, dtype=torch.int64) for number in (value.shape[axis], sizes[axis - 2], sum(sizes))
    )
    is_whole = (total <= SMALL) & ((result == size) | (result == 2 * size))
    return torch.where(is_whole, size.to(position_type(value)) / result, 1 / scale)


def nearest(offset: float) -> Callable[..., torch.Tensor]:
    """The decomposition of `upsample_nearest` (offset 0) or `_upsample_nearest_exact` (0.5)."""

    def decompose(value: torch.Tensor, sizes: Sequence[int], *scales: Scale) -> torch.Tensor:
        image = value
        is_known = all(isinstance(size, int) for size in (*value.shape, *sizes))
        is_direct = offset == 0 and is_known and takes_whole_factors(value, sizes)
        for axis, size in enumerate(sizes, start=2):
            given = (scales[axis - 2] if scales else None) or 0.0
            if is_direct and size in (value.shape[axis], 2 * value.shape[axis]):
                given = 0.0
            scale: float | torch.Tensor = scale_of(value.shape[axis], size, given)
            if offset == 0 and not is_known and given > 0 and value.ndim == 4:
                scale = scale_at_call(image, axis, sizes, given)
            value = aten.index_select.default(value, axis, nearest_places(value, axis, size, scale, offset))
        return value

    return decompose


def times(size: int, factor: float) -> int:
    """int(size * factor); in whole numbers, which sizes not known need, where the factor is in quarters or the like."""
    numerator, denominator = factor.as_integer_ratio()
    return size * numerator // denominator if denominator <= FINEST else int(size * factor)


def with_factors(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`function(value, sizes, *scales)` as the overload that takes sizes or factors."""

    def decompose(value: torch.Tensor, sizes: Sequence[int] | None, factors: Sequence[float] | None) -> torch.Tensor:
        if sizes is not None:
            return function(value, sizes)
        assert factors is not None
        return function(value, [times(n, f) for n, f in zip(value.shape[2:], factors, strict=True)], *factors)

    return decompose


# ---------------------------------------------------------------------------------------------------------------------
# Antialiased filters
# ---------------------------------------------------------------------------------------------------------------------


def triangle(x: torch.Tensor) -> torch.Tensor:
    return (1 - x.abs()).clamp(min=0)


def cubic(x: torch.Tensor) -> torch.Tensor:
    """Keys' filter with a = -1/2."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def lanczos(x: torch.Tensor) -> torch.Tensor:
    """sinc(x) * sinc(x / 3)."""

    def sinc(angle: torch.Tensor) -> torch.Tensor:
        angle = angle * math.pi
        return torch.where(angle == 0, 1.0, torch.sin(angle) / angle)

    return torch.where(x.abs() < 3, sinc(x) * sinc(x / 3), 0.0)


def antialiased(weigh: Callable[[torch.Tensor], torch.Tensor], reach: int) -> Callable[..., torch.Tensor]:
    """The decomposition of an antialiased resize by a filter that is 0 beyond `reach`."""

    def decompose(value: torch.Tensor, sizes: Sequence[int], align_corners: bool, *scales: Scale) -> torch.Tensor:
        if not all(isinstance(size, int) for size in (*value.shape[2:], *sizes)):
            return NotImplemented
        for axis in range(value.ndim - 1, 1, -1):
            size, result = value.shape[axis], sizes[axis - 2]
            scale = scale_of(size, result, scales[axis - 2] if scales else None)
            if align_corners:
                scale = (size - 1) / (result - 1) if result > 1 else 0.0
            value = filtered(value, axis, result, scale, weigh, reach)
        return value

    return decompose


def filtered(
    value: torch.Tensor, axis: int, result: int, scale: float, weigh: Callable[..., torch.Tensor], reach: int
) -> torch.Tensor:
    """One axis: each element is the weighted mean of those around it, and of no others, which may be NaN."""
    size, wide = value.shape[axis], max(scale, 1.0)
    support = reach * wide
    count = math.ceil(support) * 2 + 1
    center = (torch.arange(result, dtype=position_type(value), device=value.device) + 0.5) * scale
    first = (center - support + 0.5).to(torch.int64).clamp(min=0).unsqueeze(1)
    last = (center + support + 0.5).to(torch.int64).clamp(max=size).unsqueeze(1)
    places = first + torch.arange(count, device=value.device)
    is_within = places < last
    weights = weigh((places - center.unsqueeze(1) + 0.5) * (1 / wide))
    weights = torch.where(is_within, weights, 0.0)
    weights = weights / weights.sum(1, keepdim=True)
    around = aten.index_select.default(value, axis, places.clamp(max=size - 1).reshape(-1))
    around = around.reshape(*value.shape[:axis], result, count, *value.shape[axis + 1 :])
    shape = [result, count, *[1] * (value.ndim - axis - 1)]
    terms = torch.where(is_within.reshape(shape), around.to(weights.dtype) * weights.reshape(shape), 0.0)
    return terms.sum(axis + 1).to(value.dtype)


NEAREST = {
    0.0: (aten.upsample_nearest1d, aten.upsample_nearest2d, aten.upsample_nearest3d),
    0.5: (aten._upsample_nearest_exact1d, aten._upsample_nearest_exact2d, aten._upsample_nearest_exact3d),
}

DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    resize_nearest: lambda value, sizes, scales, offset: nearest(offset)(value, sizes, *scales),
    **{op.vec: with_factors(nearest(offset)) for offset, ops in NEAREST.items() for op in ops},
    aten._upsample_bicubic2d_aa.default: antialiased(cubic, 2),
    aten._upsample_bilinear2d_aa.default: antialiased(triangle, 1),
    aten._upsample_lanczos2d_aa.default: antialiased(lanczos, 3),
}
