"""Adaptive pools, whose windows may differ in size, and pools that say where they found the largest elements.

Windows are boxes, so one axis is reduced after the other, each over windows that are looked up or, where they tile
the axis, merely reshaped.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._decomp import decomposition_table

from terrace.frontend.decompositions.depth import length_of
from terrace.frontend.decompositions.interpolation import window_taps
from terrace.frontend.decompositions.resizing import position_type
from terrace.frontend.own_operators import resample

aten = torch.ops.aten
Pair = tuple[torch.Tensor, torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Windows:
    """Windows along one axis: the places [count, length] of their elements, and which of these count; None: all."""

    places: torch.Tensor
    within: torch.Tensor | None

    def of(self, value: torch.Tensor, axis: int) -> torch.Tensor:
        """`value` with `axis` as two: windows, and elements in each."""
        count, length = self.places.shape
        picked = aten.index_select.default(value, axis, self.places.reshape(-1))
        return picked.reshape(*value.shape[:axis], count, length, *value.shape[axis + 1 :])

    def aligned(self, part: torch.Tensor, rank: int, axis: int) -> torch.Tensor:
        """`places` or `within`, to broadcast with windows along `axis` of a tensor of `rank`."""
        return part.reshape(*part.shape, *[1] * (rank - axis - 1))


def adaptive_windows(size: int, count: int) -> Windows:
    """Window i goes from floor(i * size / count) up to ceil((i + 1) * size / count).

    A short one repeats its last element, which changes neither its largest element nor where that is.
    """
    first, last = adaptive_bounds(size, count)
    places = first.unsqueeze(1) + torch.arange(longest_window(size, count))
    return Windows(torch.minimum(places, last.unsqueeze(1)), places <= last.unsqueeze(1))


def adaptive_bounds(size: int, count: int) -> Pair:
    """The first and the last place of each window."""
    steps = torch.arange(count)
    starts = torch.div(steps * size, count, rounding_mode="floor")
    ends = torch.div(steps * size + (size + count - 1), count, rounding_mode="floor")
    return starts, ends - 1


def longest_window(size: int, count: int) -> int:
    if not isinstance(size, int) or not isinstance(count, int):
        return (size + count - 1) // count + 1
    return max((-(-(i + 1) * size // count) - i * size // count for i in range(count)), default=0)


def window_count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows a pool has; with `ceil_mode` also one that begins inside and reaches over the padding."""
    count = length_of(size + 2 * padding + (stride - 1 if ceil_mode else 0), kernel, stride, dilation)
    return count - 1 if ceil_mode and (count - 1) * stride >= size + padding else count


def strided_windows(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> Windows:
    """The windows of a pool; what lies in the padding does not count."""
    reach = dilation * (kernel - 1) + 1
    count = window_count(size, kernel, stride, padding, dilation, ceil_mode)
    places = (torch.arange(count) * stride - padding).unsqueeze(1) + torch.arange(kernel) * dilation
    is_inside = padding == 0 and (count - 1) * stride + reach <= size
    within = None if is_inside else torch.logical_and(places >= 0, places < size)
    return Windows(places.clamp(0, size - 1), within)


# ---------------------------------------------------------------------------------------------------------------------
# Largest elements and their places
# ---------------------------------------------------------------------------------------------------------------------


def largest(value: torch.Tensor, first: int, windows: Sequence[Windows]) -> Pair:
    """The largest elements of boxes of windows along the axes from `first`, and their places, counted over these axes.

    The last axis is reduced first. Of equal elements the first is taken, of NaN the last, as in PyTorch.
    """
    sizes = value.shape[first:]
    steps = [torch.arange(size).reshape([-1, *[1] * (len(sizes) - i - 1)]) for i, size in enumerate(sizes)]
    strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    flat = sum((step * stride for step, stride in zip(steps, strides, strict=True)), torch.zeros((), dtype=torch.int64))
    places = flat.expand(value.shape)
    for axis in reversed(range(first, value.ndim)):
        value, places = largest_along(value, places, axis, windows[axis - first])
    return value, places


def largest_along(value: torch.Tensor, places: torch.Tensor, axis: int, windows: Windows) -> Pair:
    rank, values, candidates = value.ndim, windows.of(value, axis), windows.of(places, axis)
    counts = None if windows.within is None else windows.aligned(windows.within, rank, axis)
    if counts is not None:
        values = torch.where(counts, values, least(value.dtype))
    found = aten.amax.default(values, [axis + 1], True)
    is_found = values == found
    if counts is not None:
        is_found = torch.logical_and(is_found, counts)
    chosen = aten.amin.default(torch.where(is_found, candidates, torch.iinfo(torch.int64).max), [axis + 1])
    if value.is_floating_point():
        last_nan = aten.amax.default(torch.where(torch.isnan(values), candidates, -1), [axis + 1])
        chosen = torch.maximum(torch.where(last_nan < 0, chosen, -1), last_nan)
    return found.squeeze(axis + 1), chosen


def least(dtype: torch.dtype) -> float:
    return -math.inf if dtype.is_floating_point else torch.iinfo(dtype).min


def adaptive_max_pool(value: torch.Tensor, counts: Sequence[int]) -> Pair:
    first = value.ndim - len(counts)
    sizes = value.shape[first:]
    return largest(value, first, [adaptive_windows(n, count) for n, count in zip(sizes, counts, strict=True)])


def max_pool_with_indices(rank: int) -> Callable[..., Pair]:
    """The decomposition of the pool over the last `rank` axes."""

    def decompose(
        value: torch.Tensor,
        kernel: Sequence[int],
        stride: Sequence[int] = (),
        padding: Sequence[int] = (0,),
        dilation: Sequence[int] = (1,),
        ceil_mode: bool = False,
    ) -> Pair:
        first = value.ndim - rank
        options = [repeated(part, rank) for part in (kernel, stride or kernel, padding, dilation)]
        sizes = value.shape[first:]
        windows = [
            strided_windows(size, k, s, p, d, ceil_mode) for size, k, s, p, d in zip(sizes, *options, strict=True)
        ]
        return largest(value, first, windows)

    return decompose


def max_pool1d(
    value: torch.Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> torch.Tensor:
    """The pool of images of one row, which our kernels run."""
    stride = list(stride) or list(kernel)
    image = value.unsqueeze(-2)
    pooled = aten.max_pool2d.default(image, [1, *kernel], [1, *stride], [0, *padding], [1, *dilation], ceil_mode)
    return pooled.squeeze(-2)


def repeated(numbers: Sequence[int], count: int) -> Sequence[int]:
    """One number for each axis."""
    return list(numbers) * count if len(numbers) == 1 else numbers


# ---------------------------------------------------------------------------------------------------------------------
# Means
# ---------------------------------------------------------------------------------------------------------------------


def adaptive_avg_pool(value: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """The mean of each window, along one axis after the other; rounded once."""
    wide = value.to(position_type(value))
    for axis, count in enumerate(counts, start=value.ndim - len(counts)):
        size = value.shape[axis]
        first, last = (bounds.unsqueeze(1) for bounds in adaptive_bounds(size, count))
        places, shares = window_taps(first, last, longest_window(size, count), wide.dtype)
        wide = resample(wide, places, shares / (last - first + 1), axis)
    return wide.to(value.dtype)


def adaptive_avg_pool2d(value: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """PyTorch's own, an ordinary pool, where windows are known to be of one size."""
    sides = list(zip(value.shape[-2:], counts, strict=True))
    if all(isinstance(size, int) and count and size % count == 0 for size, count in sides):
        return decomposition_table[aten._adaptive_avg_pool2d.default](value, counts)
    return adaptive_avg_pool(value, counts)


def max_unpool(spatial: int) -> Callable[..., torch.Tensor]:
    """The inverse of a max pool: each element at its index in its own plane, which no index may leave."""

    def rule(value: torch.Tensor, indices: torch.Tensor, output_size: Sequence[int], *_: object) -> torch.Tensor:
        leading = value.shape[:-spatial]
        planes, size = math.prod(leading), math.prod(output_size)
        places, elements = (each.reshape(planes, math.prod(value.shape[-spatial:])) for each in (indices, value))
        empty = aten.new_zeros.default(value, [planes, size])
        return aten.scatter.src(empty, 1, places, elements).reshape(*leading, *output_size)

    return rule


def avg_pool_of_all(
    value: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> torch.Tensor:
    """The mean of all, where windows are larger than the image, which only `ceil_mode` allows: they end with it."""
    sizes, kernel = value.shape[-2:], [*kernel_size] * (3 - len(kernel_size))
    exceeds = [isinstance(size, int) and length > size for size, length in zip(sizes, kernel, strict=True)]
    if not ceil_mode or any(padding) or not all(exceeds):
        return NotImplemented
    if divisor_override is None:
        return value.mean((-2, -1), keepdim=True)
    return value.sum((-2, -1), keepdim=True) / divisor_override


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten._adaptive_avg_pool2d.default: adaptive_avg_pool2d,
    aten._adaptive_avg_pool3d.default: adaptive_avg_pool,
    aten.adaptive_max_pool2d.default: adaptive_max_pool,
    aten.adaptive_max_pool3d.default: adaptive_max_pool,
    aten.avg_pool2d.default: avg_pool_of_all,
    aten.max_pool1d.default: max_pool1d,
    aten.max_pool2d_with_indices.default: max_pool_with_indices(2),
    aten.max_pool3d_with_indices.default: max_pool_with_indices(3),
    aten.max_unpool2d.default: max_unpool(2),
    aten.max_unpool3d.default: max_unpool(3),
}
