"""Transposed convolution as one convolution for all phases of its stride, whose results are then interleaved.

A result at q * stride + r takes those taps of the kernel only that lie stride apart from tap r, so that a convolution
with stride² times the channels computes it with no product by a zero between the inputs (where stride divides the
kernel; else the kernel is filled up to a multiple). It is the sub-pixel convolution of Shi et al., 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

aten = torch.ops.aten


def conv_transpose(
    image: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
) -> torch.Tensor:
    """Transposed convolutions with a number for each axis; dilated ones with a stride in three dimensions only."""
    spatial = weight.ndim - 2
    if any(step > 1 and spread > 1 for step, spread in zip(stride, dilation, strict=True)):
        if spatial < 3:
            return NotImplemented
        image = with_zeros_between(image, stride)
        stride = [1] * spatial
    if not all(isinstance(size, int) for size in weight.shape):
        return NotImplemented
    phases, taps = phase_kernels(weight, stride, groups)
    pads: list[int] = []
    starts = []
    for axis in range(spatial):
        step, pad, reach = stride[axis], padding[axis], dilation[axis] * (taps[axis] - 1)
        skipped = min(pad // step, reach)
        span = dilation[axis] * (weight.shape[2 + axis] - 1) + 1
        last = -(-(span - pad + output_padding[axis]) // step) - 1
        pads = [reach - skipped, max(last, 0), *pads]
        starts.append(pad - step * skipped)
    padded, both = split_padding(image, pads, spatial)
    repeated = None if bias is None else bias.unsqueeze(1).expand(-1, phases.shape[0] // bias.shape[0]).reshape(-1)
    result = aten.convolution.default(
        padded, phases, repeated, [1] * spatial, both, dilation, False, [0] * spatial, groups
    )
    result = interleaved(result, stride)
    for axis, start in enumerate(starts):
        span = dilation[axis] * (weight.shape[2 + axis] - 1) + 1
        length = (image.shape[2 + axis] - 1) * stride[axis] - 2 * padding[axis] + span + output_padding[axis]
        if start or result.shape[2 + axis] != length:
            result = result.narrow(2 + axis, start, length)
    return result


def with_zeros_between(image: torch.Tensor, stride: Sequence[int]) -> torch.Tensor:
    """The elements of `image`, `stride` apart."""
    for axis, step in enumerate(stride, 2):
        spread = aten.constant_pad_nd(image.unsqueeze(axis + 1), [0, 0] * (image.ndim - axis - 1) + [0, step - 1])
        image = spread.flatten(axis, axis + 1).narrow(axis, 0, (image.shape[axis] - 1) * step + 1)
    return image


def phase_kernels(weight: torch.Tensor, stride: Sequence[int], groups: int) -> tuple[torch.Tensor, list[int]]:
    """From [in, out / groups, kernel...] to [out * phases, in / groups, taps...], turned around, and the taps."""
    spatial = len(stride)
    taps = [-(-size // step) for size, step in zip(weight.shape[2:], stride, strict=True)]
    fill = [taps[axis] * stride[axis] - weight.shape[2 + axis] for axis in range(spatial)]
    if any(fill):
        weight = aten.constant_pad_nd(weight, [n for end in reversed(fill) for n in (0, end)])
    inputs, outputs = weight.shape[:2]
    split = [size for axis in range(spatial) for size in (taps[axis], stride[axis])]
    weight = weight.reshape(groups, inputs // groups, outputs, *split)
    tap_axes, phase_axes = [3 + 2 * axis for axis in range(spatial)], [4 + 2 * axis for axis in range(spatial)]
    weight = weight.permute(0, 2, *phase_axes, 1, *tap_axes)
    weight = weight.reshape(-1, inputs // groups, *taps)
    for axis, count in enumerate(taps, start=2):
        weight = turned_around(weight, axis, count)
    return weight, taps


def turned_around(value: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    """Flipped along an axis by slices, which are evaluated ahead: a weight is then packed once, not in every call."""
    if size == 1:
        return value
    return aten.cat.default([aten.slice.Tensor(value, axis, i, i + 1) for i in reversed(range(size))], axis)


def split_padding(image: torch.Tensor, pads: list[int], spatial: int) -> tuple[torch.Tensor, list[int]]:
    """`image` with what its sides are padded by unequally, and what the convolution pads both by."""
    both = [min(pads[2 * axis : 2 * axis + 2]) for axis in reversed(range(spatial))]
    rest = [pad - both[spatial - 1 - index // 2] for index, pad in enumerate(pads)]
    return aten.constant_pad_nd(image, rest) if any(rest) else image, both


def interleaved(value: torch.Tensor, stride: Sequence[int]) -> torch.Tensor:
    """From [n, out * phases, size...] to [n, out, size * stride...]."""
    if all(step == 1 for step in stride):
        return value
    batch, channels, *sizes = value.shape
    count = 1
    for step in stride:
        count *= step
    value = value.reshape(batch, channels // count, *stride, *sizes)
    spatial = len(stride)
    value = value.permute(0, 1, *(axis for i in range(spatial) for axis in (2 + spatial + i, 2 + i)))
    return value.reshape(batch, channels // count, *(size * step for size, step in zip(sizes, stride, strict=True)))
