"""Evaluation of reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import Attributes
from terrace.lowering.graph.evaluation.arrays import Array, is_float, widen
from terrace.lowering.graph.evaluation.rules import evaluates, result_type
from terrace.mlir import ir

_FUNCTIONS: dict[str, Any] = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod}


@evaluates(graph.ReduceOp)
def _reduce(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value = widen(operands[0])
    if not is_float(value):
        value = value.astype(result_type(op))  # a sum of int8 may be int32
    options: dict[str, Any] = {"axis": tuple(attrs.axes), "keepdims": attrs.keepdims}
    if attrs.kind in ("sum", "prod"):
        options["dtype"] = value.dtype  # numpy would widen small integers
    if attrs.kind in ("max", "min"):
        options["initial"] = _limits(value)[attrs.kind == "min"]  # What no elements have.
    return np.asarray(_FUNCTIONS[attrs.kind](value, **options))


def _limits(value: Array) -> tuple[Any, Any]:
    """The least and the greatest element of an array's type."""
    if is_float(value):
        return -math.inf, math.inf
    return (False, True) if value.dtype == np.bool_ else (np.iinfo(value.dtype).min, np.iinfo(value.dtype).max)
