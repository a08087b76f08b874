"""Resize, Upsample and GridSample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.shapes import sized
from terrace.frontend.onnx.table import onnx_op
from terrace.frontend.onnx.values import as_tensor

PLAIN = {1: "linear", 2: "bilinear", 3: "trilinear"}


@onnx_op("Upsample")
@sized
def upsample(node: Node, x: Any, scales: Any = None) -> Tensor:
    x = as_tensor(x)
    factors = node["scales"] if scales is None else node.numbers(1, scales, "factors")
    sizes = [scaled(size, factor) for size, factor in zip(x.shape, factors, strict=True)]
    for axis, (size, factor) in enumerate(zip(sizes, factors, strict=True)):
        if factor != 1:
            x = along(node, x, axis, size, factor, node.get("mode", "nearest"), "asymmetric", (0.0, 1.0))
    return x


@onnx_op("Resize")
@sized
def resize(node: Node, x: Any, *inputs: Any) -> Tensor:
    """Axis by axis: each new place is a weighted sum of old ones."""
    x = as_tensor(x)
    if node.opset < 11:
        roi, scales, sizes, at = None, inputs[0], None, 1
    else:
        roi, scales, sizes = (*inputs, None, None, None)[:3]
        at = 2
    axes = [axis % x.dim() for axis in node.get("axes", range(x.dim()))]
    wanted = node.numbers(3, sizes, "sizes", None) if sizes is not None and np.size(sizes) else None
    factors = node.numbers(at, scales, "factors") if wanted is None else None
    sizes, factors = extents(node, [x.shape[axis] for axis in axes], wanted, factors)
    mode = node.get("mode", "nearest")
    how = node.get("coordinate_transformation_mode", "half_pixel" if node.opset >= 11 else "asymmetric")
    if (y := native(node, x, axes, sizes, factors, mode, how)) is not None:
        return y
    bounds = node.numbers(1, roi, "a region") if how == "tf_crop_and_resize" else None
    for index, (axis, size, factor) in enumerate(zip(axes, sizes, factors, strict=True)):
        region = (bounds[index], bounds[index + len(axes)]) if bounds else (0.0, 1.0)
        if size is not x.shape[axis] and (bounds or not isinstance(size, int) or size != x.shape[axis] or factor != 1):
            x = along(node, x, axis, size, factor, mode, how, region)
    return x


def extents(node: Node, have: list[Any], sizes: Any, factors: Any) -> tuple[list[Any], list[Any]]:
    """Sizes and factors of the axes, each from the other; the aspect kept where the policy says so."""
    if sizes is None:
        return [scaled(size, factor) for size, factor in zip(have, factors, strict=True)], list(factors)
    policy = node.get("keep_aspect_ratio_policy", "stretch")
    ratios = [size / own for size, own in zip(sizes, have, strict=True)]
    if policy == "stretch":
        return list(sizes), ratios
    one = min(ratios) if policy == "not_larger" else max(ratios)
    return [math.floor(own * one + 0.5) for own in have], [one] * len(have)


def scaled(size: Any, factor: float) -> Any:
    """The size after scaling, rounded down: of an integer factor without floats, which a dynamic size would need."""
    return size * int(factor) if factor == int(factor) else math.floor(size * float(np.float32(factor)))


def native(
    node: Node, x: Tensor, axes: list[int], sizes: list[Any], factors: list[Any], mode: str, how: str
) -> Tensor | None:
    """By PyTorch's own resize, where it is the same: of images, in the modes that both have."""
    moved = [i for i, axis in enumerate(axes) if axis >= 2]
    rank = x.dim() - 2
    fits = rank in PLAIN and all(factors[i] == 1 for i, axis in enumerate(axes) if axis < 2)
    if not fits or len(moved) != rank or node.get("antialias", 0) or not x.is_floating_point():
        return None
    size = [sizes[axes.index(axis)] for axis in range(2, x.dim())]
    scale = [float(factors[axes.index(axis)]) for axis in range(2, x.dim())]
    exact = all(isinstance(n, int) and n == o * f for n, o, f in zip(size, x.shape[2:], scale, strict=True)) or all(
        f == int(f) for f in scale
    )
    if (
        mode == "nearest"
        and how == "asymmetric"
        and node.get("nearest_mode", "round_prefer_floor") == "floor"
        and exact
    ):
        return F.interpolate(x, size=size, mode="nearest")
    half = how == "half_pixel" or (how == "pytorch_half_pixel" and not any(isinstance(n, int) and n == 1 for n in size))
    if mode == "linear" and half and exact and rank == 2:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    if mode == "linear" and how == "align_corners" and exact and rank == 2:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=True)
    return None


def along(
    node: Node, x: Tensor, axis: int, size: Any, factor: float, mode: str, how: str, region: tuple[float, float]
) -> Tensor:
    """One axis resized. Coordinates are computed in float64, as the reference does."""
    have = x.shape[axis]
    place = torch.arange(size).double()
    where = origin(how, place, factor, have, size, region)
    outside = (where < 0) | (where > have - 1)
    if mode == "nearest":
        index = rounded(where, node.get("nearest_mode", "floor" if node.op == "Upsample" else "round_prefer_floor"))
        y = x.index_select(axis, index.to(torch.int64).clamp(0, have - 1))
    else:
        y = weighted(node, x, axis, where, factor, mode)
    if how == "tf_crop_and_resize":
        shape = [-1 if a == axis else 1 for a in range(x.dim())]
        y = torch.where(outside.reshape(shape), torch.tensor(node.get("extrapolation_value", 0.0), dtype=x.dtype), y)
    return y


def origin(how: str, place: Tensor, factor: float, have: Any, size: Any, region: tuple[float, float]) -> Tensor:
    """Where each new place lies among the old ones."""
    if how == "asymmetric":
        return place / factor
    if how == "align_corners":
        # The size before it is rounded down, as ONNX's reference has it.
        whole = have * factor
        return place * ((have - 1) / (whole - 1)) if whole != 1 else place * 0
    if how == "tf_crop_and_resize":
        start, end = region
        if size == 1:
            return place * 0 + 0.5 * (start + end) * (have - 1)
        return start * (have - 1) + place * ((end - start) * (have - 1) / (size - 1))
    if how == "pytorch_half_pixel" and size == 1:
        return place * 0
    if how == "tf_half_pixel_for_nn":
        return (place + 0.5) / factor
    where = (place + 0.5) / factor - 0.5
    if how == "half_pixel_symmetric":
        adjusted = size / (have * factor)
        center = have / 2
        where = where + center * (1 - adjusted)
    return where


def rounded(where: Tensor, how: str) -> Tensor:
    if how == "floor":
        return where.floor()
    if how == "ceil":
        return where.ceil()
    if how == "round_prefer_ceil":
        return (where + 0.5).floor()
    return (where - 0.5).ceil()


def weighted(node: Node, x: Tensor, axis: int, where: Tensor, factor: float, mode: str) -> Tensor:
    """Sums of old places by a kernel around each new one: a product with a matrix of weights."""
    have = x.shape[axis]
    stretch = max(1.0, 1.0 / factor) if node.get("antialias", 0) else 1.0
    reach = math.ceil((1 if mode == "linear" else 2) * stretch)
    first = where.floor().to(torch.int64) - reach + 1
    taps = first.unsqueeze(1) + torch.arange(2 * reach)
    distance = (taps - where.unsqueeze(1)).abs() / stretch
    if mode == "linear":
        weights = (1 - distance).clamp(min=0)
    else:
        a = node.get("cubic_coeff_a", -0.75)
        near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weights = torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))
    if node.get("exclude_outside", 0) or stretch != 1.0:
        if node.get("exclude_outside", 0):
            inside = (taps >= 0) & (taps < have)
            weights = torch.where(inside, weights, torch.zeros_like(weights))
        weights = weights / weights.sum(1, keepdim=True)
    hot = taps.clamp(0, have - 1).unsqueeze(2) == torch.arange(have)
    matrix = (hot * weights.unsqueeze(2)).sum(1).to(x.dtype if x.is_floating_point() else torch.float32)
    moved = x.movedim(axis, -1)
    y = torch.matmul(moved if x.is_floating_point() else moved.float(), matrix.t()).movedim(-1, axis)
    return y if x.is_floating_point() else y.round().to(x.dtype)


@onnx_op("GridSample")
def grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    mode = {"linear": "bilinear", "cubic": "bicubic", "bilinear": "bilinear", "bicubic": "bicubic"}.get(
        node.get("mode", "linear"), "nearest"
    )
    return F.grid_sample(x, grid, mode, node.get("padding_mode", "zeros"), bool(node.get("align_corners", 0)))


@onnx_op("AffineGrid")
@sized
def affine_grid(node: Node, theta: Any, size: Any) -> Tensor:
    return F.affine_grid(as_tensor(theta), node.numbers(1, size, "sizes"), bool(node.get("align_corners", 0)))
