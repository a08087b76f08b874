"""Evaluation of reads and writes at indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import Attributes
from terrace.dialects.graph_indexed import points
from terrace.lowering.graph.evaluation.arrays import Array, widen
from terrace.lowering.graph.evaluation.rules import evaluates
from terrace.mlir import ir
from terrace.passes import fail

_UPDATES: dict[str, Any] = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


def _require_inside(op: ir.Operation, indices: Array, size: int, whole: str = "an axis") -> None:
    wrong = indices[(indices < 0) | (indices >= size)]
    if wrong.size:
        raise fail(op, f"picks row {wrong[0]} of {whole} of {size}")


@evaluates(graph.EmbeddingOp)
def _embedding(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    table, indices = operands
    block = table.shape[2] if table.ndim == 3 else 1
    _require_inside(op, indices, table.shape[0] * block, "a table")
    return table[indices] if table.ndim == 2 else table[indices // block, :, indices % block]


def _coordinates(shape: Sequence[int], indices: Array, axis: int) -> tuple[Array, ...]:
    """Where the points of this shape stand, by their indices along `axis`."""
    places = list(np.indices(shape, sparse=True))
    places[axis] = np.broadcast_to(indices, shape)
    return tuple(places)


@evaluates(graph.GatherOp)
def _gather(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value, indices = operands
    _require_inside(op, indices, value.shape[attrs.axis])
    return value[_coordinates(points(indices.shape, value.shape, attrs.axis), indices, attrs.axis)]


@evaluates(graph.ResampleOp)
def _resample(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value, indices, weights = operands
    _require_inside(op, indices, value.shape[attrs.axis])
    picked = np.take(widen(value), indices, attrs.axis)
    shape = [*weights.shape, *[1] * (value.ndim - attrs.axis - 1)]
    total: Array = (picked * widen(weights).reshape(shape)).sum(attrs.axis + 1)
    return total


@evaluates(graph.ScatterOp)
def _scatter(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    """`ufunc.at` updates in order, each time an index is met."""
    value, indices, source = operands
    _require_inside(op, indices, value.shape[attrs.axis])
    shape = points(indices.shape, source.shape, attrs.axis)
    read = source[tuple(slice(size) for size in shape)]
    result, new = widen(value).copy(), np.broadcast_to(widen(read), shape)
    places = _coordinates(shape, indices, attrs.axis)
    if attrs.kind == "replace":
        result[places] = new
    else:
        _UPDATES[attrs.kind].at(result, places, new)
    return result
