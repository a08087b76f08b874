"""Operators on what is known while the model is read: sizes, axes, and what is computed of them, in NumPy."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from onnx import helper

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.table import known_op, onnx_op
from terrace.frontend.onnx.values import Known, known

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Equal": operator.eq, "Less": operator.lt,
    "Greater": operator.gt, "LessOrEqual": operator.le, "GreaterOrEqual": operator.ge, "And": np.logical_and,
    "Or": np.logical_or,
}  # fmt: skip
UNARY: dict[str, Callable[[Any], Any]] = {
    "Neg": operator.neg, "Abs": np.abs, "Not": np.logical_not, "Identity": lambda a: a, "Floor": np.floor,
    "Ceil": np.ceil, "Sqrt": np.sqrt, "Round": np.round, "Reciprocal": lambda a: (1 / a).astype(a.dtype),
}  # fmt: skip


def _register() -> None:
    for name, binary in BINARY.items():
        known_op(name)(lambda node, a, b, binary=binary: plain(binary(a, b)))
    for name, unary in UNARY.items():
        known_op(name)(lambda node, a, unary=unary: NotImplemented if symbolic(a) else np.asarray(unary(a)))


def symbolic(*values: Known) -> bool:
    """Whether an element is a size that is not known as a number."""
    return any(value is not None and value.dtype == object for value in values)


def plain(value: Any) -> Known:
    """An array of int64 if all its elements are plain integers now."""
    array = np.asarray(value)
    if array.dtype == object:
        numbers = array.ravel().tolist()
        if all(isinstance(number, bool) for number in numbers) and numbers:
            return array.astype(bool)
        if all(isinstance(number, int) and not isinstance(number, torch.SymInt) for number in numbers):
            return array.astype(np.int64)
    return array


_register()


@known_op("Div")
def div(node: Node, a: Known, b: Known) -> Known:
    """Sizes are not negative: their division toward zero is Python's. Other integers divide toward zero."""
    if symbolic(a, b):
        return plain(a // b)
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    return np.asarray(np.trunc(a / b)).astype(a.dtype) if (np.asarray(b) != 0).all() else NotImplemented


@known_op("Mod")
def mod(node: Node, a: Known, b: Known) -> Known:
    return NotImplemented if node.get("fmod", 0) else plain(a % b)


@known_op("Pow")
def power(node: Node, a: Known, b: Known) -> Known:
    return NotImplemented if symbolic(a, b) else np.asarray(np.power(a, b)).astype(a.dtype)


@known_op("Min", "Max")
def extreme(node: Node, *values: Known) -> Known:
    if symbolic(*values):
        one = torch.sym_min if node.op == "Min" else torch.sym_max
        found: Any = values[0]
        for value in values[1:]:
            a, b = np.broadcast_arrays(found, value)
            found = np.array([one(x, y) for x, y in zip(a.ravel(), b.ravel(), strict=True)], object).reshape(a.shape)
        return plain(found)
    return np.asarray((np.minimum if node.op == "Min" else np.maximum).reduce(values))


@known_op("Cast")
def cast(node: Node, a: Known) -> Known:
    to = helper.tensor_dtype_to_np_dtype(node["to"])
    if symbolic(a):
        return a if to in (np.int64, np.int32) else NotImplemented
    return a.astype(to) if to.kind in "iufb" else NotImplemented


@known_op("Where")
def where(node: Node, condition: Known, a: Known, b: Known) -> Known:
    return plain(np.where(condition.astype(bool), a, b))


@known_op("Concat")
def concat(node: Node, *values: Known) -> Known:
    return plain(np.concatenate(values, node["axis"]))


@known_op("Gather")
def gather(node: Node, a: Known, indices: Known) -> Known:
    return plain(np.take(a, indices.astype(np.int64), node.get("axis", 0)))


@known_op("Unsqueeze")
def unsqueeze(node: Node, a: Known, axes: Known | None = None) -> Known:
    wanted = node["axes"] if axes is None else axes.ravel().tolist()
    return np.expand_dims(a, tuple(int(axis) for axis in wanted))


@known_op("Squeeze")
def squeeze(node: Node, a: Known, axes: Known | None = None) -> Known:
    wanted = node.get("axes") if axes is None else axes.ravel().tolist()
    return np.squeeze(a, None if wanted is None else tuple(int(axis) for axis in wanted))


@known_op("Reshape")
def reshape(node: Node, a: Known, shape: Known) -> Known:
    return NotImplemented if symbolic(shape) or 0 in shape.tolist() else np.reshape(a, shape.tolist())


@known_op("Transpose")
def transpose(node: Node, a: Known) -> Known:
    return np.transpose(a, node.get("perm"))


@known_op("Slice")
def slice_known(node: Node, a: Known, *parts: Known | None) -> Known:
    starts, ends, axes, steps = slice_parts(node, [None if part is None else part.ravel().tolist() for part in parts])
    places: list[Any] = [slice(None)] * a.ndim
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = axes[index] if axes is not None else index
        step = steps[index] if steps is not None else 1
        if any(isinstance(number, torch.SymInt) for number in (start, end, step)):
            return NotImplemented
        last = None if step < 0 and end < -a.shape[axis] else end
        places[axis] = slice(start, last, step)
    return plain(a[tuple(places)])


def slice_parts(node: Node, parts: list[Any]) -> tuple[Any, Any, Any, Any]:
    """Starts, ends, axes and steps: inputs since opset 10, attributes before."""
    if node.opset < 10:
        return node["starts"], node["ends"], node.get("axes"), None
    starts, ends, axes, steps = (*parts, None, None)[:4]
    return starts, ends, axes, steps


@known_op("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin")
def reduce(node: Node, a: Known, axes: Known | None = None) -> Known:
    wanted = node.get("axes") if axes is None else axes.ravel().tolist()
    over = None if wanted is None else tuple(int(axis) for axis in wanted)
    if symbolic(a) and node.op in ("ReduceMax", "ReduceMin"):
        return NotImplemented
    rules: dict[str, Callable[..., Any]] = {
        "ReduceProd": np.prod, "ReduceSum": np.sum, "ReduceMax": np.max, "ReduceMin": np.min,
    }  # fmt: skip
    one = rules[node.op]
    return plain(np.asarray(one(a, axis=over, keepdims=bool(node.get("keepdims", 1)))))


@known_op("Range")
def arange(node: Node, start: Known, limit: Known, delta: Known) -> Known:
    if symbolic(start, limit, delta):
        return NotImplemented
    return np.arange(start.item(), limit.item(), delta.item()).astype(start.dtype)


@known_op("ConstantOfShape")
def constant_of_shape(node: Node, shape: Known) -> Known:
    value = node.get("value")
    if symbolic(shape) or value is None or math.prod(shape.tolist()) > 64 or value.data_type not in (6, 7):
        return NotImplemented
    return np.full(shape.tolist(), onnx_array(value).ravel()[0])


@known_op("Expand")
def expand(node: Node, a: Known, shape: Known) -> Known:
    if symbolic(shape):
        return NotImplemented
    return np.array(np.broadcast_to(a, np.broadcast_shapes(a.shape, tuple(shape.tolist()))))


@known_op("Tile")
def tile(node: Node, a: Known, repeats: Known) -> Known:
    return NotImplemented if symbolic(repeats) else np.tile(a, repeats.tolist())


@known_op("Size")
def size_of_known(node: Node, a: Known) -> Known:
    return np.array(a.size)


@known_op("Shape")
def shape_of_known(node: Node, a: Known) -> Known:
    return np.array(a.shape, dtype=np.int64)[node.get("start", 0) : node.get("end")]


@onnx_op("Shape")
def shape(node: Node, x: torch.Tensor) -> Known:
    return known(list(x.shape)[node.get("start", 0) : node.get("end")])


@onnx_op("Size")
def size(node: Node, x: torch.Tensor) -> Known:
    return known(math.prod(x.shape))


@known_op("Constant")
def constant(node: Node) -> Any:
    """Numbers: integers as known, others left to the rule on tensors."""
    for name in ("value_int", "value_ints"):
        if name in node.protos:
            return np.array(node[name], dtype=np.int64)
    value = node.get("value")
    if value is not None and value.data_type in (6, 7) and math.prod(value.dims) <= 64:
        return onnx_array(value)
    return NotImplemented


def onnx_array(value: Any) -> Known:
    from terrace.frontend.onnx.values import array_of

    return array_of(value)
