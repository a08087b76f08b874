"""Evaluation of softmax and the norms."""

from __future__ import annotations

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import Attributes
from terrace.lowering.graph.evaluation.arrays import Array, widen
from terrace.lowering.graph.evaluation.rules import evaluates
from terrace.mlir import ir


def softmax(value: Array, axis: int) -> Array:
    powers = np.exp(value - value.max(axis, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


@evaluates(graph.SoftmaxOp)
def _softmax(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return softmax(widen(operands[0]), attrs.axis)


def _normal(value: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """The values of each row of `axes` as numbers of root mean square 1."""
    return np.asarray(value / np.sqrt(np.square(value).mean(axes, keepdims=True) + epsilon))


def _centred(value: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(value - value.mean(axes, keepdims=True))


@evaluates(graph.LayerNormOp)
def _layer_norm(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value, scale, shift = map(widen, operands)
    axes = tuple(range(value.ndim - scale.ndim, value.ndim))
    return _normal(_centred(value, axes), axes, attrs.epsilon) * scale + shift


@evaluates(graph.RmsNormOp)
def _rms_norm(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value, scale = map(widen, operands)
    return _normal(value, tuple(range(value.ndim - scale.ndim, value.ndim)), attrs.epsilon) * scale


@evaluates(graph.GroupNormOp)
def _group_norm(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value, scale, shift = map(widen, operands)
    axis, shape = attrs.axis, value.shape
    grouped = value.reshape(*shape[:axis], attrs.groups, shape[axis] // attrs.groups, *shape[axis + 1 :])
    axes = tuple(other for other in range(1, grouped.ndim) if other != axis)
    normal = _normal(_centred(grouped, axes), axes, attrs.epsilon).reshape(shape)
    return normal * _along(scale, axis, value.ndim) + _along(shift, axis, value.ndim)


@evaluates(graph.BatchNormOp)
def _batch_norm(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value, *vectors = map(widen, operands)
    mean, variance, scale, shift = (_along(vector, attrs.axis, value.ndim) for vector in vectors)
    return (value - mean) / np.sqrt(variance + attrs.epsilon) * scale + shift


def _along(vector: Array, axis: int, rank: int) -> Array:
    """[channels] shaped to broadcast along dimension `axis` of a tensor of this rank."""
    return vector.reshape([-1 if i == axis else 1 for i in range(rank)])
