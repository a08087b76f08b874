"""Resizing by nearest neighbours, with PyTorch's own arithmetic of places."""

from __future__ import annotations

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
    return size * numerator // denominator if denominator <= FINEST else torch.sym_int(size * factor)


def with_factors(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`function(value, sizes, *scales)` as the overload that takes sizes or factors."""

    def decompose(value: torch.Tensor, sizes: Sequence[int] | None, factors: Sequence[float] | None) -> torch.Tensor:
        if sizes is not None:
            return function(value, sizes)
        assert factors is not None
        return function(value, [times(n, f) for n, f in zip(value.shape[2:], factors, strict=True)], *factors)

    return decompose


NEAREST = {
    0.0: (aten.upsample_nearest1d, aten.upsample_nearest2d, aten.upsample_nearest3d),
    0.5: (aten._upsample_nearest_exact1d, aten._upsample_nearest_exact2d, aten._upsample_nearest_exact3d),
}

DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    resize_nearest: lambda value, sizes, scales, offset: nearest(offset)(value, sizes, *scales),
    **{op.vec: with_factors(nearest(offset)) for offset, ops in NEAREST.items() for op in ops},
}
