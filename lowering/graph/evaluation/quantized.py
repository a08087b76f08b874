"""Evaluation of quantised arithmetic."""

from __future__ import annotations

import math

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import Attributes
from terrace.lowering.graph.evaluation.arrays import Array, dense_array, widen
from terrace.lowering.graph.evaluation.rules import evaluates, result_type
from terrace.mlir import ir


def _saturate(op: ir.Operation, value: Array) -> Array:
    target = result_type(op)
    limits = np.iinfo(target)
    return np.clip(value, limits.min, limits.max).astype(target)


def _shift_right(value: Array, shift: Array | int) -> Array:
    """value / 2^shift of int64, rounded to nearest, ties to even."""
    almost_half = (np.int64(1) << (shift - np.int64(1))) - 1
    return np.asarray((value + almost_half + ((value >> shift) & 1)) >> shift)


@evaluates(graph.QuantizeOp)
def _quantize(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value, scale = map(widen, operands)
    return _saturate(op, np.nan_to_num(np.rint(value / scale), nan=0.0, posinf=math.inf, neginf=-math.inf))


@evaluates(graph.DequantizeOp)
def _dequantize(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return operands[0].astype(np.float64) * widen(operands[1])


@evaluates(graph.RequantizeOp)
def _requantize(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value, multiplier, shift = (operand.astype(np.int64) for operand in operands)
    return _saturate(op, _shift_right(value * multiplier, shift))


@evaluates(graph.ScaledAddOp)
def _scaled_add(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    left, right = (operand.astype(np.int64) for operand in operands)
    total = left * attrs.lhs_multiplier + right * attrs.rhs_multiplier
    return _saturate(op, _shift_right(total, attrs.shift))


@evaluates(graph.LookupOp)
def _lookup(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return dense_array(attrs.table)[operands[0].astype(np.int64) + 128]


@evaluates(graph.IntegerSoftmaxOp)
def _integer_softmax(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value = operands[0].astype(np.int64)
    largest = value.max(attrs.axis, keepdims=True, initial=-128)
    powers = dense_array(attrs.table).astype(np.int64)[255 + value - largest]
    factor = np.int64(127 << 40) // powers.sum(attrs.axis, keepdims=True)
    return _saturate(op, _shift_right(powers * factor, 40))


@evaluates(graph.IntegerLayerNormOp)
def _integer_layer_norm(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value = operands[0].astype(np.int64)
    axes = tuple(range(value.ndim - attrs.dims, value.ndim))
    count = math.prod(value.shape[axis] for axis in axes)
    centred = count * value - value.sum(axes, keepdims=True)
    variance = np.square(centred).sum(axes, keepdims=True) // count + attrs.epsilon
    factor = np.int64(1 << 48) // np.maximum(_root(variance << 16), 1)
    return _shift_right(centred * factor, 30).astype(np.int32)


def _root(number: Array) -> Array:
    """The floor of the square root of integers below 2^62."""
    root = np.sqrt(number.astype(np.float64)).astype(np.int64)
    # float64 does not hold every such number: what its root rounds to may be one too large, or too small.
    root -= root * root > number
    return root + ((root + 1) * (root + 1) <= number)
