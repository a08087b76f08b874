"""The largest magnitude that each value of a graph was seen to take, as an attribute, and which values share one.

`graph.range` (f64, an array where an op has several results) stands on the op that gives the value, or among the
attributes of a function's argument.
"""

from __future__ import annotations

import math
from typing import Any

from terrace.dialects.base import element_type_of, shape_of, to_attribute, to_python
from terrace.mlir import func, ir, operation_of

RANGE = "graph.range"

KEEPING_SCALE = ("graph.max_pool2d", "graph.permute", "graph.relu", "graph.reshape", "graph.slice")
"""Ops whose result takes over the scale of what they read."""


def is_float_tensor(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType) and isinstance(element_type_of(value), ir.F32Type)


def ranged(value: ir.Value, constant: set[ir.Value]) -> ir.Value:
    """The value whose range `value` has: itself, or what it takes its scale over from. A constant has its own."""
    operation = operation_of(value)
    while value not in constant and operation is not None and operation.name in KEEPING_SCALE:
        value = operation.operands[0]
        operation = operation_of(value)
    return value


def range_of(value: ir.Value) -> float | None:
    """The magnitude that `graph.range` gives a value, or None."""
    operation = operation_of(value)
    attributes = (
        _argument_attributes(value.owner.owner)[value.arg_number] if operation is None else operation.attributes
    )
    if RANGE not in attributes:
        return None
    found = to_python(attributes[RANGE])
    return float(found[_result_number(value)] if isinstance(found, list) else found)


def set_range(value: ir.Value, magnitude: float) -> None:
    operation = operation_of(value)
    if operation is not None and len(operation.results) > 1:
        is_known = RANGE in operation.attributes
        magnitudes = to_python(operation.attributes[RANGE]) if is_known else [math.inf] * len(operation.results)
        magnitudes[_result_number(value)] = float(magnitude)
        operation.attributes[RANGE] = ir.ArrayAttr.get([to_attribute(number) for number in magnitudes])
        return
    if operation is not None:
        operation.attributes[RANGE] = to_attribute(float(magnitude))
        return
    function = value.owner.owner
    attributes = _argument_attributes(function)
    attributes[value.arg_number][RANGE] = float(magnitude)
    _set_argument_attributes(function, attributes)


def _result_number(value: ir.Value) -> int:
    return int(ir.OpResult(value).result_number)


def has_ranges(function: func.FuncOp) -> bool:
    """Whether a function has the range of any value."""
    own = any(RANGE in view.operation.attributes for view in function.entry_block.operations)
    return own or any(RANGE in attributes for attributes in _argument_attributes(function))


def remove_ranges(function: func.FuncOp) -> None:
    """Take the ranges away, which mean nothing once they are scales."""
    for view in function.entry_block.operations:
        if RANGE in view.operation.attributes:
            del view.operation.attributes[RANGE]
    attributes = _argument_attributes(function)
    for own in attributes:
        own.pop(RANGE, None)
    _set_argument_attributes(function, attributes)


def _argument_attributes(function: func.FuncOp) -> list[dict[str, Any]]:
    operation = function.operation
    count = len(operation.regions[0].blocks[0].arguments)
    if "arg_attrs" not in operation.attributes:
        return [{} for _ in range(count)]
    return [to_python(attributes) for attributes in operation.attributes["arg_attrs"]]


def _set_argument_attributes(function: func.FuncOp, attributes: list[dict[str, Any]]) -> None:
    operation = function.operation
    if any(attributes):
        operation.attributes["arg_attrs"] = ir.ArrayAttr.get([to_attribute(own) for own in attributes])
    elif "arg_attrs" in operation.attributes:
        del operation.attributes["arg_attrs"]


def describe(value: ir.Value) -> str:
    """A value as messages name it."""
    operation = operation_of(value)
    if operation is not None:
        return f"the result of {operation.name}"
    shape = "x".join(map(str, shape_of(value)))
    return f"argument {value.arg_number} (float32 {shape})"
