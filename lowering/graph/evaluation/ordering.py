"""Evaluation of scans, and of the ops that say where elements stand in order."""

from __future__ import annotations

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import Attributes
from terrace.lowering.graph.evaluation.arrays import Array, widen
from terrace.lowering.graph.evaluation.rules import evaluates
from terrace.mlir import ir


@evaluates(graph.ArgsortOp)
def _argsort(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return _places_in_order(widen(operands[0]), attrs.axis, attrs.descending)


@evaluates(graph.TopkOp)
def _topk(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return np.take(_places_in_order(widen(operands[0]), attrs.axis, attrs.descending), range(attrs.count), attrs.axis)


def _places_in_order(value: Array, axis: int, descending: bool) -> Array:
    """numpy's stable sort puts NaN last. Downwards it runs over the elements from the last, so that ties stay."""
    if not descending:
        return np.argsort(value, axis, kind="stable")
    return value.shape[axis] - 1 - np.flip(np.argsort(np.flip(value, axis), axis, kind="stable"), axis)


_SCANS: dict[str, np.ufunc] = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


@evaluates(graph.ScanOp)
def _scan(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value = widen(operands[0])
    return np.asarray(_SCANS[attrs.kind].accumulate(value, attrs.axis, dtype=value.dtype))


@evaluates(graph.ArgScanOp)
def _arg_scan(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    """The last place so far of an element that equals the extreme so far; after a NaN, that of the last NaN."""
    value = np.moveaxis(widen(operands[0]), attrs.axis, -1)
    extreme = (np.maximum if attrs.kind == "max" else np.minimum).accumulate(value, -1)
    is_extreme = (value == extreme) | np.isnan(value)
    places = np.where(is_extreme, np.arange(value.shape[-1]), 0)
    return np.moveaxis(np.maximum.accumulate(places, -1), -1, attrs.axis)
