"""Windows of images, for convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from terrace.dialects.base import Attributes
from terrace.dialects.graph_base import image_axes
from terrace.lowering.graph.evaluation.arrays import Array


def to_nchw(image: Array, layout: str) -> Array:
    """An image of `layout` in the order NCHW; a view."""
    return image.transpose(0, *image_axes(layout))


def from_nchw(image: Array, layout: str) -> Array:
    """An image of the order NCHW in `layout`; a view."""
    return image if layout == "NCHW" else image.transpose(0, 2, 3, 1)


def windows(image: Array, kernel: Sequence[int], attrs: Attributes, counts: Sequence[int], beyond: float) -> Array:
    """[n, c, *counts, *kernel] of an NCHW image, padding included: what is in each window; `beyond` where it ends."""
    (sh, sw), (dh, dw) = attrs.strides, attrs.dilations
    spans = [dh * (kernel[0] - 1) + 1, dw * (kernel[1] - 1) + 1]
    reached = [(counts[0] - 1) * sh + spans[0], (counts[1] - 1) * sw + spans[1]]
    missing = [max(0, size - own) for size, own in zip(reached, image.shape[2:], strict=True)]
    whole = padded(image, [0] * 4, [0, 0, *missing], beyond)
    found = np.lib.stride_tricks.sliding_window_view(whole, spans, (2, 3))
    return found[:, :, ::sh, ::sw, ::dh, ::dw][:, :, : counts[0], : counts[1]]


def pad_image(image: Array, attrs: Attributes, fill: float) -> Array:
    """An NCHW image with its padding: (top, bottom, left, right)."""
    top, bottom, left, right = attrs.padding
    return padded(image, [0, 0, top, left], [0, 0, bottom, right], fill)


def padded(value: Array, low: Sequence[int], high: Sequence[int], fill: float) -> Array:
    """`value` in the middle of `fill`; by hand, as numpy.pad does not take the types of ml_dtypes."""
    if not any([*low, *high]):
        return value
    sizes = [before + size + after for before, size, after in zip(low, value.shape, high, strict=True)]
    result = np.full(sizes, fill, value.dtype)
    result[tuple(slice(before, before + size) for before, size in zip(low, value.shape, strict=True))] = value
    return result
