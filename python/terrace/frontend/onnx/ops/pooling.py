"""Pools."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.products import pads_of
from terrace.frontend.onnx.table import onnx_op

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE = {2: F.avg_pool2d, 3: F.avg_pool3d}


def geometry(node: Node, x: Tensor) -> tuple[list[int], list[int], list[int], list[Any], list[Any]]:
    """Kernel, strides, dilations, and the padding before and after each axis; with `ceil_mode` as much more behind as
    the last window wants that starts in the image or in the padding before it."""
    kernel = node["kernel_shape"]
    rank = len(kernel)
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    sizes = list(x.shape[2:])
    pads = pads_of(node, sizes, kernel, strides, dilations)
    before, after = pads[:rank], pads[rank:]
    if node.get("ceil_mode", 0):
        for i in range(rank):
            reach = dilations[i] * (kernel[i] - 1) + 1
            room = sizes[i] + before[i] + after[i] - reach
            count = -(-room // strides[i]) + 1
            if (count - 1) * strides[i] >= sizes[i] + before[i]:
                count -= 1
            after[i] = (count - 1) * strides[i] + reach - sizes[i] - before[i]
    return kernel, strides, dilations, before, after


def flat_pads(before: list[Any], after: list[Any]) -> list[Any]:
    """As `F.pad` takes them: the last axis first."""
    return [amount for i in reversed(range(len(before))) for amount in (before[i], after[i])]


@onnx_op("MaxPool")
def max_pool(node: Node, x: Tensor) -> Any:
    kernel, strides, dilations, before, after = geometry(node, x)
    rank = len(kernel)
    narrow = x.dtype
    if not narrow.is_floating_point:
        x = x.double()
    sizes = list(x.shape[2:])
    padded = (
        F.pad(x, flat_pads(before, after), value=-math.inf)
        if any(not isinstance(p, int) or p for p in [*before, *after])
        else x
    )
    if not node.wants(1):
        return MAX[rank](padded, kernel, strides, 0, dilations).to(narrow)
    y, places = MAX[rank](padded, kernel, strides, 0, dilations, return_indices=True)
    return y.to(narrow), flat_place(node, places, sizes, before, list(padded.shape[2:]), x)


def flat_place(node: Node, places: Tensor, sizes: list[Any], before: list[Any], padded: list[Any], x: Tensor) -> Tensor:
    """Places in the padded plane as ONNX counts them: in the whole tensor, the first axis last by `storage_order`."""
    rest, at = places, []
    for size in reversed(padded):
        at.append(rest % size)
        rest = rest // size
    at.reverse()
    order = list(range(len(sizes)))
    if node.get("storage_order", 0):
        order.reverse()
    found = torch.zeros_like(places)
    for i in order:
        found = found * sizes[i] + (at[i] - before[i])
    planes = torch.arange(x.shape[0] * x.shape[1]) * math.prod(sizes)
    return found + planes.reshape(x.shape[0], x.shape[1], *(1,) * len(sizes))


@onnx_op("AveragePool")
def average_pool(node: Node, x: Tensor) -> Tensor:
    """The mean of a window: of what is in the image, or with `count_include_pad` in the padding too."""
    kernel, strides, dilations, before, after = geometry(node, x)
    summed = window_sums(x, kernel, strides, dilations, before, after)
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype)
    if node.get("count_include_pad", 0):
        rank = len(kernel)
        pads = pads_of(node, list(x.shape[2:]), kernel, strides, dilations)
        ones = F.pad(ones, flat_pads(pads[:rank], pads[rank:]), value=1.0)
        counts = window_sums(
            ones, kernel, strides, dilations, [0] * rank, [a - p for a, p in zip(after, pads[rank:], strict=True)]
        )
    else:
        if not any(not isinstance(p, int) or p for p in [*before, *after]):
            return summed / math.prod(kernel)
        counts = window_sums(ones, kernel, strides, dilations, before, after)
    return summed / counts


def window_sums(
    x: Tensor, kernel: list[int], strides: list[int], dilations: list[int], before: list[Any], after: list[Any]
) -> Tensor:
    """The sum of each window of zeros-padded planes."""
    if any(not isinstance(p, int) or p for p in [*before, *after]):
        x = F.pad(x, flat_pads(before, after))
    size = math.prod(kernel)
    if all(d == 1 for d in dilations):
        if len(kernel) == 1:
            return F.avg_pool2d(x.unsqueeze(2), (1, kernel[0]), (1, strides[0])).squeeze(2) * size
        return AVERAGE[len(kernel)](x, kernel, strides) * size
    for axis, (k, stride, dilation) in enumerate(zip(kernel, strides, dilations, strict=True)):
        count = (x.shape[axis + 2] - dilation * (k - 1) - 1) // stride + 1
        parts = [
            x.narrow(axis + 2, tap * dilation, (count - 1) * stride + 1)[
                (slice(None),) * (axis + 2) + (slice(None, None, stride),)
            ]
            for tap in range(k)
        ]
        x = torch.stack(parts).sum(0)
    return x


@onnx_op("LpPool")
def lp_pool(node: Node, x: Tensor) -> Tensor:
    power = node.get("p", 2)
    kernel, strides, dilations, before, after = geometry(node, x)
    return window_sums(x.abs() ** power, kernel, strides, dilations, before, after) ** (1 / power)


@onnx_op("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(node: Node, x: Tensor) -> Tensor:
    axes = list(range(2, x.dim()))
    if node.op == "GlobalAveragePool":
        return x.mean(axes, keepdim=True)
    if node.op == "GlobalMaxPool":
        return x.amax(axes, keepdim=True)
    power = node.get("p", 2)
    return (x.abs() ** power).sum(axes, keepdim=True) ** (1 / power)


@onnx_op("MaxUnpool")
def max_unpool(node: Node, x: Tensor, places: Tensor, shape: Any = None) -> Tensor:
    kernel = node["kernel_shape"]
    rank = len(kernel)
    strides, pads = node.get("strides", [1] * rank), node.get("pads", [0] * (2 * rank))
    own = [(x.shape[i + 2] - 1) * strides[i] + kernel[i] - pads[i] - pads[i + rank] for i in range(rank)]
    sizes = own if shape is None else node.numbers(2, shape, "sizes")[2:]
    flat = torch.zeros(x.shape[0] * x.shape[1] * math.prod(own), dtype=x.dtype)
    # Places count in the tensor of the size that the pool had, which a given shape may exceed.
    y = flat.scatter(0, places.reshape(-1), x.reshape(-1)).reshape(x.shape[0], x.shape[1], *own)
    return F.pad(y, flat_pads([0] * rank, [want - have for want, have in zip(sizes, own, strict=True)]))


@onnx_op("RoiAlign")
def roi_align(node: Node, x: Tensor, rois: Tensor, batch: Tensor) -> Tensor:
    """Bilinear samples on a grid in each bin of each box, their mean or largest."""
    height, width, ratio = node.get("output_height", 1), node.get("output_width", 1), node.get("sampling_ratio", 0)
    how = node.get("coordinate_transformation_mode", "half_pixel" if node.opset >= 16 else "")
    half = 0.5 if how == "half_pixel" else 0.0
    if ratio <= 0:
        raise node.error("has a sampling ratio that depends on the boxes: give `sampling_ratio`")
    box = rois * node.get("spatial_scale", 1.0) - half
    start_x, start_y, end_x, end_y = box.unbind(1)
    size_x, size_y = end_x - start_x, end_y - start_y
    if not half:
        size_x, size_y = size_x.clamp(min=1.0), size_y.clamp(min=1.0)

    def samples(start: Tensor, size: Tensor, bins: int) -> Tensor:
        each = (torch.arange(bins * ratio).to(x.dtype) + 0.5) / ratio
        return start.unsqueeze(1) + each * (size / bins).unsqueeze(1)

    at_y, at_x = samples(start_y, size_y, height), samples(start_x, size_x, width)
    planes = x.index_select(0, batch)
    parts: list[Tensor] = []
    for y, weight_y in corners(at_y, x.shape[2]):
        for across, weight_x in corners(at_x, x.shape[3]):
            rows = planes.gather(2, y[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))
            found = rows.gather(3, across[:, None, None, :].expand(-1, x.shape[1], y.shape[1], -1))
            parts.append(found * weight_y[:, None, :, None] * weight_x[:, None, None, :])
    shape = (rois.shape[0], x.shape[1], height, ratio, width, ratio)
    if node.get("mode", "avg") == "avg":
        return torch.stack(parts).sum(0).reshape(shape).mean((3, 5))
    return torch.stack(parts).amax(0).reshape(shape).amax((3, 5))


def corners(at: Tensor, size: Any) -> list[tuple[Tensor, Tensor]]:
    """The two places beside each coordinate, and their weights; nothing beyond a pixel outside of the image."""
    inside = (at >= -1.0) & (at <= size)
    at = at.clamp(min=0.0)
    low = at.floor().to(torch.int64).clamp(max=size - 1)
    high = (low + 1).clamp(max=size - 1)
    at = torch.where(low >= size - 1, low.to(at.dtype), at)
    share = at - low
    zero = torch.zeros_like(share)
    return [(low, torch.where(inside, 1 - share, zero)), (high, torch.where(inside, share, zero))]
