"""Which values of a graph are quantised, and the largest magnitude that each was seen to take, as an attribute.

`graph.range` (f64) stands on the op that gives the value, or among the attributes of a function's argument.
"""

from __future__ import annotations

from typing import Any

from terrace.dialects.base import element_type_of, shape_of, to_attribute, to_python
from terrace.lowering.building import splat_value
from terrace.lowering.constants import constant_values
from terrace.lowering.quantization.chains import CHAIN_ROOTS, CONTRACTIONS, chain_of, is_weight
from terrace.mlir import ir, operation_of

RANGE = "graph.range"

KEEPING_SCALE = ("graph.max_pool2d", "graph.permute", "graph.relu", "graph.reshape", "graph.slice")
"""Ops whose result takes over the scale of what they read."""


def is_float_tensor(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType) and isinstance(element_type_of(value), ir.F32Type)


def observed_values(function: Any) -> list[ir.Value]:
    """The f32 values of a function whose magnitudes scales are made of, in program order, constants last.

    Not among them: what only leads to the end of a chain, and what takes over another value's scale. Constants are
    where they are added to, or multiplied with, what is computed.
    """
    constant = constant_values(function.operation)
    biases: set[ir.Value] = set()
    constants: list[ir.Value] = []
    found = [argument for argument in function.entry_block.arguments if is_float_tensor(argument)]
    inner: set[ir.Value] = set()
    ends: set[ir.Value] = set()
    for view in function.entry_block.operations:
        operation = view.operation
        if operation.name in CHAIN_ROOTS and operation.results[0] not in inner:
            chain = chain_of(operation, constant)
            inner.update(op.results[0] for op in chain.operations[:-1])
            ends.add(chain.result)
            if chain.bias is not None:
                biases.add(chain.bias)
        if len(operation.results) != 1 or not is_float_tensor(operation.results[0]):
            continue
        value = operation.results[0]
        if value in constant:
            constants.append(value)
        elif value in ends or (value not in inner and operation.name not in KEEPING_SCALE):
            found.append(value)
    return found + [value for value in constants if value not in biases and _meets_values(value, constant)]


def _meets_values(value: ir.Value, constant: set[ir.Value]) -> bool:
    """Whether a constant is quantised as what it meets is, by its range: it is no weight, and no splat."""
    if splat_value(value) is not None:
        return False
    for use in value.uses:
        user = use.owner.operation
        if user.name not in _MEETING or user.results[0] in constant:
            continue
        if user.name not in CONTRACTIONS or use.operand_number == 0 or not is_weight(value, constant):
            return True
    return False


_MEETING = (*CHAIN_ROOTS, "graph.mul")


def range_of(value: ir.Value) -> float | None:
    """The magnitude that `graph.range` gives a value, or None."""
    operation = operation_of(value)
    if operation is not None:
        return float(to_python(operation.attributes[RANGE])) if RANGE in operation.attributes else None
    attributes = _argument_attributes(value.owner.owner)[value.arg_number]
    return float(attributes[RANGE]) if RANGE in attributes else None


def set_range(value: ir.Value, magnitude: float) -> None:
    operation = operation_of(value)
    if operation is not None:
        operation.attributes[RANGE] = to_attribute(float(magnitude))
        return
    function = value.owner.owner
    attributes = _argument_attributes(function)
    attributes[value.arg_number][RANGE] = float(magnitude)
    _set_argument_attributes(function, attributes)


def remove_ranges(function: Any) -> None:
    """Take the ranges away, which mean nothing once they are scales."""
    for view in function.entry_block.operations:
        if RANGE in view.operation.attributes:
            del view.operation.attributes[RANGE]
    attributes = _argument_attributes(function)
    for own in attributes:
        own.pop(RANGE, None)
    _set_argument_attributes(function, attributes)


def _argument_attributes(function: Any) -> list[dict[str, Any]]:
    operation = function.operation
    count = len(operation.regions[0].blocks[0].arguments)
    if "arg_attrs" not in operation.attributes:
        return [{} for _ in range(count)]
    return [to_python(attributes) for attributes in operation.attributes["arg_attrs"]]


def _set_argument_attributes(function: Any, attributes: list[dict[str, Any]]) -> None:
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
