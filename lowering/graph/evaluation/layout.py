"""Evaluation of the ops that move elements, and of tables that are computed of nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import Attributes
from terrace.lowering.graph.evaluation.arrays import Array, widen
from terrace.lowering.graph.evaluation.rules import evaluates, result_shape
from terrace.lowering.graph.evaluation.windows import padded
from terrace.mlir import ir


@evaluates(graph.ReshapeOp)
def _reshape(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return operands[0].reshape(result_shape(op))


@evaluates(graph.PermuteOp)
def _permute(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return operands[0].transpose(attrs.permutation)


@evaluates(graph.BroadcastOp)
def _broadcast(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return np.broadcast_to(operands[0], result_shape(op))


@evaluates(graph.SliceOp)
def _slice(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    bounds = zip(attrs.starts, attrs.stops, attrs.steps, strict=True)
    return operands[0][tuple(slice(start, None if stop == -1 else stop, step) for start, stop, step in bounds)]


@evaluates(graph.ConcatOp)
def _concat(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    same = len({operand.dtype for operand in operands}) == 1
    return np.concatenate(operands if same else [widen(operand) for operand in operands], axis=attrs.axis)


@evaluates(graph.BorderPadOp)
def _border_pad(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    mode: Any = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[attrs.mode]
    return np.pad(operands[0], list(zip(attrs.low, attrs.high, strict=True)), mode)


@evaluates(graph.PadOp)
def _pad(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return padded(operands[0], attrs.low, attrs.high, attrs.value)


@evaluates(graph.PackOp)
def _pack(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value = operands[0]
    tiles = dict(zip(attrs.inner_dims, attrs.inner_tiles, strict=True))
    missing = [-size % tiles.get(axis, 1) for axis, size in enumerate(value.shape)]
    value = padded(value, [0] * value.ndim, missing, 0.0)
    split: list[int] = []
    outer, inner = [], {}
    for axis, size in enumerate(value.shape):
        outer.append(len(split))
        split.append(size // tiles.get(axis, 1))
        if axis in tiles:
            inner[axis] = len(split)
            split.append(tiles[axis])
    order = [outer[axis] for axis in attrs.outer_permutation] + [inner[axis] for axis in attrs.inner_dims]
    return value.reshape(split).transpose(order)


@evaluates(graph.RootsOfUnityOp)
def _roots_of_unity(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    rows, columns = (np.arange(size) for size in result_shape(op))
    angles = np.outer(rows, columns) % attrs.length * (2 * math.pi / attrs.length)
    return np.sin(angles) if attrs.imaginary else np.cos(angles)
