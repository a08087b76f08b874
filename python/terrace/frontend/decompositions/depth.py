"""Windows along the depth of volumes, [n, c, d, h, w], by slices: the rest of a window is one of an image."""

from __future__ import annotations

import torch
from torch.fx.experimental.symbolic_shapes import statically_known_true

aten = torch.ops.aten


def padded_in_depth(value: torch.Tensor, before: int, after: int, filler: float) -> torch.Tensor:
    """`value` with planes of `filler` around it along its axis -3."""
    if statically_known_true(before == 0) and statically_known_true(after == 0):
        return value
    return aten.constant_pad_nd(value, [0, 0, 0, 0, before, after], filler)


def length_of(size: int, taps: int, stride: int, dilation: int) -> int:
    """How many windows fit into `size`."""
    return (size - dilation * (taps - 1) - 1) // stride + 1


def depth_slices(
    value: torch.Tensor, axis: int, count: int, taps: int, stride: int, dilation: int
) -> list[torch.Tensor]:
    """The first elements of `count` windows along `axis`, the second ones, and so on."""
    ends = [tap * dilation + (count - 1) * stride + 1 for tap in range(taps)]
    return [aten.slice.Tensor(value, axis, tap * dilation, end, stride) for tap, end in enumerate(ends)]
