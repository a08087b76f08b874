"""Evaluation of the elementwise ops on numbers of every kind."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import Attributes
from terrace.lowering.graph.evaluation.arrays import Array, is_float, numpy_type, to_round, widen
from terrace.lowering.graph.evaluation.rules import OnlyResult, evaluates, result_type
from terrace.mlir import ir

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _divide(x: Array, y: Array) -> Array:
    """Numbers of integer types rounded towards zero, without a detour through floating point."""
    return np.divide(x, y) if is_float(x) else (x - np.fmod(x, y)) // y


def _is_shift(x: Array, y: Array) -> Array:
    """Where `y` is less than the width of `x`, and not negative."""
    return np.asarray((y >= 0) & (y < 8 * x.itemsize))


_FUNCTIONS: dict[type[ir.OpView], Callable[..., Array]] = {
    graph.AbsOp: np.abs,
    graph.AddOp: np.add,
    graph.BitwiseAndOp: np.bitwise_and,
    graph.BitwiseOrOp: np.bitwise_or,
    graph.BitwiseXorOp: np.bitwise_xor,
    graph.CeilOp: np.ceil,
    graph.CopysignOp: np.copysign,
    graph.CosOp: np.cos,
    graph.DivOp: _divide,
    graph.ErfOp: _erf,
    graph.ExpOp: np.exp,
    graph.Expm1Op: np.expm1,
    graph.FloorOp: np.floor,
    graph.FmodOp: np.fmod,
    graph.HardsigmoidOp: lambda x: np.clip(x + 3, 0, 6) / 6,
    graph.HardswishOp: lambda x: x * np.clip(x + 3, 0, 6) / 6,
    graph.LogOp: np.log,
    graph.Log1pOp: np.log1p,
    graph.MaximumOp: np.maximum,
    graph.MinimumOp: np.minimum,
    graph.MulOp: np.multiply,
    graph.NegOp: np.negative,
    graph.PowOp: np.power,
    graph.ReluOp: lambda x: np.where(x < 0, x.dtype.type(0), x),
    graph.RoundOp: np.rint,
    graph.RsqrtOp: lambda x: 1 / np.sqrt(x),
    graph.SelectOp: np.where,
    graph.ShiftLeftOp: lambda x, y: np.where(_is_shift(x, y), x << (y * _is_shift(x, y)), x.dtype.type(0)),
    graph.ShiftRightOp: lambda x, y: np.where(_is_shift(x, y), x >> (y * _is_shift(x, y)), -(x < 0).astype(x.dtype)),
    graph.SigmoidOp: lambda x: 1 / (1 + np.exp(-x)),
    graph.SiluOp: lambda x: x / (1 + np.exp(-x)),
    graph.SinOp: np.sin,
    graph.SqrtOp: np.sqrt,
    graph.SubOp: np.subtract,
    graph.TanhOp: np.tanh,
}


def _on_widened(function: Callable[..., Array]) -> OnlyResult:
    return lambda op, attrs, operands: function(*map(widen, operands))


for op_class, function in _FUNCTIONS.items():
    evaluates(op_class)(_on_widened(function))


@evaluates(graph.GeluOp)
def _gelu(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    x = widen(operands[0])
    if attrs.approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    # By erfc rather than 1 + erf, which cancels for negative x.
    return 0.5 * x * _erfc(-x / math.sqrt(2))


_COMPARISONS: dict[str, Callable[..., Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


@evaluates(graph.CompareOp)
def _compare(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return _COMPARISONS[attrs.predicate](*map(widen, operands))


@evaluates(graph.BitcastOp)
def _bitcast(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    source = numpy_type(op.operands[0])
    return to_round(operands[0], source).astype(source).view(result_type(op))


@evaluates(graph.CastOp)
def _cast(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    (value,) = operands
    source, target = numpy_type(op.operands[0]), result_type(op)
    if target == np.bool_:
        return value != 0
    both_floats = is_float(value) and is_float(target)
    if both_floats and (source == target or target.itemsize > source.itemsize):
        return value  # nothing to round: stay as precise as the value is
    return to_round(value, target).astype(target)
