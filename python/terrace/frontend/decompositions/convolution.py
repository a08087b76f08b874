"""Convolutions that no kernel of ours takes as they are, by those of images that ours do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from terrace.frontend.decompositions.conv_transpose import conv_transpose
from terrace.frontend.decompositions.depth import depth_slices, length_of, padded_in_depth

aten = torch.ops.aten


def convolution(
    image: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> torch.Tensor:
    """Transposed convolutions, and those of three dimensions."""
    spatial = weight.ndim - 2
    if image.ndim != weight.ndim:
        return NotImplemented
    stride, padding, dilation, output_padding = (
        [*values] * spatial if len(values) == 1 else [*values]
        for values in (stride, padding, dilation, output_padding or [0])
    )
    if transposed:
        return conv_transpose(image, weight, bias, stride, padding, dilation, output_padding, groups)
    if spatial < 3:
        return NotImplemented
    return convolution_3d(image, weight, bias, stride, padding, dilation, groups)


def convolution_3d(
    image: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> torch.Tensor:
    """A convolution of [n, c, d, h, w] as one of n * d' images, which have the d's that a window spans as channels.

    A depthwise one is a sum of depthwise ones instead, one for each d of the window.
    """
    taps, is_depthwise = weight.shape[2], weight.shape[1] == 1 and groups > 1
    if is_depthwise and image.is_floating_point() and image.dtype.itemsize < 4:  # The sums of planes would be rounded.
        added = None if bias is None else bias.float()
        wide = convolution_3d(image.float(), weight.float(), added, stride, padding, dilation, groups)
        return wide.to(image.dtype)
    image = padded_in_depth(image, padding[0], padding[0], 0)
    depth = length_of(image.shape[2], taps, stride[0], dilation[0])
    # Images first: [n, d, c, h, w], of which a slice is a run of memory.
    slices = depth_slices(image.transpose(1, 2), 1, depth, taps, stride[0], dilation[0])
    options = [*map(list, (stride[1:], padding[1:], dilation[1:])), False, [0, 0], groups]

    def convolved(images: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        flat = images.reshape(-1, *images.shape[2:])
        result = aten.convolution.default(flat, kernel, bias, *options)
        return result.reshape(image.shape[0], depth, *result.shape[1:]).transpose(1, 2)

    if is_depthwise:
        results = [convolved(part, weight.select(2, tap), None) for tap, part in enumerate(slices)]
        total = results[0]
        for result in results[1:]:
            total = total + result
        return total if bias is None else total + bias.reshape(-1, 1, 1, 1)
    # Those of a group lie together: [n, d, groups, taps * c / groups, h, w].
    parts = [part.unflatten(2, [groups, weight.shape[1]]) for part in slices]
    images = aten.cat.default(parts, 3).flatten(2, 3) if taps > 1 else slices[0]
    return convolved(images, weight.transpose(1, 2).flatten(1, 2), bias)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {aten.convolution.default: convolution}
