"""Pools of volumes, [..., d, h, w]: the pools of their planes, which our kernels run, and a reduction along the depth.

Averages are products too: a window has as many elements as its part along the depth times its part in a plane.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from terrace.frontend.decompositions.depth import depth_slices, padded_in_depth
from terrace.frontend.decompositions.pooling import least, repeated, window_count

aten = torch.ops.aten


def in_planes(value: torch.Tensor, pool: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """`pool` of [..., h, w], with the axes before the last three and the depth as channels."""
    pooled = pool(value.flatten(-4, -3))
    return pooled.unflatten(-3, [value.shape[-4], value.shape[-3]])


def along_depth(
    value: torch.Tensor, count: int, kernel: int, stride: int, padding: int, dilation: int, filler: float
) -> list[torch.Tensor]:
    """The first planes of all windows, the second ones, and so on; `filler` is in the padding."""
    after = dilation * (kernel - 1) + (count - 1) * stride + 1 - value.shape[-3] - padding
    if isinstance(after, int):
        after = max(after, 0)
    padded = padded_in_depth(value, padding, after, filler)
    return depth_slices(padded, value.ndim - 3, count, kernel, stride, dilation)


def max_pool3d(
    value: torch.Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> torch.Tensor:
    parts = [list(repeated(part, 3)) for part in (kernel, stride or kernel, padding, dilation)]
    planes = [part[1:] for part in parts]
    pooled = in_planes(value, lambda images: aten.max_pool2d.default(images, *planes, ceil_mode))
    depth = (parts[0][0], parts[1][0], parts[2][0], parts[3][0])
    count = window_count(value.shape[-3], *depth, ceil_mode)
    return functools.reduce(torch.maximum, along_depth(pooled, count, *depth, least(value.dtype)))


def avg_pool3d(
    value: torch.Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> torch.Tensor:
    if not value.is_floating_point():
        return NotImplemented
    if value.dtype.itemsize < 4:  # The sums of planes would be rounded.
        wide = avg_pool3d(value.float(), kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
        return wide.to(value.dtype)
    kernel, stride, padding = (list(repeated(part, 3)) for part in (kernel, stride or kernel, padding))
    options = [kernel[1:], stride[1:], padding[1:], ceil_mode, count_include_pad, divisor_override and 1]
    pooled = in_planes(value, lambda images: aten.avg_pool2d.default(images, *options))
    size, depth = value.shape[-3], (kernel[0], stride[0], padding[0], 1)
    count = window_count(size, *depth, ceil_mode)
    total = functools.reduce(torch.add, along_depth(pooled, count, *depth, 0.0))
    if divisor_override is not None:
        return total / divisor_override
    if not ceil_mode and (count_include_pad or padding[0] == 0):
        return total / kernel[0]
    starts = torch.arange(count) * stride[0] - padding[0]
    ends = (starts + kernel[0]).clamp(max=size + padding[0])
    lengths = ends - starts if count_include_pad else ends.clamp(max=size) - starts.clamp(min=0)
    return total / lengths.to(value.dtype).reshape(-1, 1, 1)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.avg_pool3d.default: avg_pool3d,
    aten.max_pool3d.default: max_pool3d,
}
