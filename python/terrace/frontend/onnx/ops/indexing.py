"""Reads and writes at indices. Negative ones count from the end."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.shapes import sized
from terrace.frontend.onnx.table import onnx_op
from terrace.frontend.onnx.values import as_tensor, is_known


def from_start(indices: Tensor, size: Any) -> Tensor:
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + size, indices)


@onnx_op("Gather")
@sized
def gather(node: Node, x: Any, indices: Any) -> Tensor:
    x = as_tensor(x)
    axis = node.get("axis", 0) % x.dim()
    if is_known(indices) and indices.ndim == 0 and isinstance(indices.item(), int):
        return x.select(axis, indices.item())
    indices = from_start(as_tensor(indices), x.shape[axis])
    if axis == 0 and x.dim() == 2:
        return torch.nn.functional.embedding(indices, x)
    taken = x.index_select(axis, indices.reshape(-1))
    return taken.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@onnx_op("GatherElements")
def gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = node.get("axis", 0)
    return x.gather(axis, from_start(indices, x.shape[axis]))


@onnx_op("GatherND")
def gather_nd(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    batch = node.get("batch_dims", 0)
    depth = indices.shape[-1]
    lead, rest = list(x.shape[:batch]), list(x.shape[batch + depth :])
    flat, place = flattened(x, indices, batch)
    count = list(indices.shape[batch:-1])
    rows = place.reshape(math.prod(lead), -1, 1).expand(-1, -1, math.prod(rest))
    return flat.gather(1, rows).reshape(*lead, *count, *rest)


def flattened(x: Tensor, indices: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """The data as [batch, places, rest], and the place that each index along several axes is."""
    depth = indices.shape[-1]
    sizes = list(x.shape[batch : batch + depth])
    place = torch.zeros(indices.shape[:-1], dtype=torch.int64)
    for level, size in enumerate(sizes):
        place = place * size + from_start(indices.select(-1, level), size)
    rest = math.prod(x.shape[batch + depth :])
    return x.reshape(math.prod(x.shape[:batch]), math.prod(sizes), rest), place


REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@onnx_op("ScatterElements", "Scatter")
def scatter_elements(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    axis, how = node.get("axis", 0), node.get("reduction", "none")
    places = from_start(indices, x.shape[axis])
    if how == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, REDUCTIONS[how])


@onnx_op("ScatterND")
def scatter_nd(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    how = node.get("reduction", "none")
    flat, place = flattened(x, indices, 0)
    rows = place.reshape(1, -1, 1).expand(-1, -1, flat.shape[2])
    new = updates.reshape(rows.shape)
    if how == "none":
        return flat.scatter(1, rows, new).reshape(x.shape)
    return flat.scatter_reduce(1, rows, new, REDUCTIONS[how]).reshape(x.shape)


@onnx_op("TensorScatter")
def tensor_scatter(node: Node, past: Tensor, update: Tensor, start: Tensor | None = None) -> Tensor:
    """Rows of a cache written from a place on, of each batch its own; around the end if it is circular."""
    axis = node.get("axis", -2) % past.dim()
    size, count = past.shape[axis], update.shape[axis]
    first = torch.zeros(past.shape[0], dtype=torch.int64) if start is None else start.to(torch.int64)
    places = first.unsqueeze(1) + torch.arange(count)
    if node.get("mode", "linear") == "circular":
        places = places % size
    shape = [past.shape[0], *(1,) * (axis - 1), count, *(1,) * (past.dim() - axis - 1)]
    return past.scatter(axis, places.reshape(shape).expand(update.shape), update)


@onnx_op("OneHot")
@sized
def one_hot(node: Node, indices: Any, depth: Any, values: Any) -> Tensor:
    indices, values = as_tensor(indices), as_tensor(values)
    size = int(node.numbers(1, depth, "a depth")[0])
    places = from_start(indices, size)
    hot = places.unsqueeze(-1) == torch.arange(size)
    axis = node.get("axis", -1)
    return torch.where(hot, values[1], values[0]).movedim(-1, axis)


@onnx_op("Compress")
def compress(node: Node, x: Tensor, condition: Tensor) -> Tensor:
    axis = node.get("axis")
    flat = x.reshape(-1) if axis is None else x
    kept = torch.nonzero(condition).reshape(-1)
    return flat.index_select(0 if axis is None else axis, kept)


@onnx_op("ArrayFeatureExtractor", domain="ai.onnx.ml")
def array_feature_extractor(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    return x.index_select(-1, indices.reshape(-1)).reshape(*(x.shape[:-1] or (1,)), -1)


@onnx_op("Binarizer", domain="ai.onnx.ml")
def binarizer(node: Node, x: Tensor) -> Tensor:
    return (x > node.get("threshold", 0.0)).to(x.dtype)
