"""What the op classes of all Terrace dialects share: attribute conversion, building, and one rule for shapes.

An op that can infer its result states the rule once, in `infer` (see `graph.TensorOp`); the verifier compares the
inferred type with the declared one, and `build` uses the same rule to make the result type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from terrace.mlir import DYNAMIC, ir

# The bindings' constraint language cannot name dense arrays and booleans; these aliases say what is meant, and
# `OpInterface.attribute` checks it.
I64Array = Any
Bool = Any


class ShapeError(ValueError):
    """The operands and attributes of an op contradict each other. The text completes "'graph.x' op ..."."""


def to_attribute(value: Any) -> ir.Attribute:
    """The attribute for a Python value: bool, int (i64), float (f64), str, list of int, dict, or an attribute."""
    if isinstance(value, ir.Attribute):
        return value
    if isinstance(value, bool):
        return ir.BoolAttr.get(value)
    if isinstance(value, int):
        return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)
    if isinstance(value, float):
        return ir.FloatAttr.get_f64(value)
    if isinstance(value, str):
        return ir.StringAttr.get(value)
    if isinstance(value, ir.Type):
        return ir.TypeAttr.get(value)
    if isinstance(value, dict):
        return ir.DictAttr.get({key: to_attribute(item) for key, item in value.items()})
    if isinstance(value, Sequence):
        if all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            return ir.DenseI64ArrayAttr.get(list(value))
        return ir.ArrayAttr.get([to_attribute(item) for item in value])
    raise TypeError(f"no attribute stands for {value!r}")


def to_python(attribute: ir.Attribute) -> Any:
    """The Python value of an attribute; the inverse of `to_attribute`. Other attributes come back unchanged."""
    kinds = (ir.BoolAttr, ir.IntegerAttr, ir.FloatAttr, ir.StringAttr, ir.FlatSymbolRefAttr, ir.TypeAttr)
    if isinstance(attribute, kinds):
        return attribute.value
    if isinstance(attribute, ir.DenseI64ArrayAttr):
        return list(attribute)
    if isinstance(attribute, ir.ArrayAttr):
        return [to_python(item) for item in attribute]
    if isinstance(attribute, ir.DictAttr):
        return {item.name: to_python(item.attr) for item in attribute}
    return attribute


class Attributes:
    """Read access to an op's attributes as Python values: `attrs.strides`, with a clear error for a missing one."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self._attributes = attributes

    def __getattr__(self, name: str) -> Any:
        try:
            return self._attributes[name]
        except KeyError:
            raise ShapeError(f"requires attribute '{name}'") from None


def attributes_of(operation: Any) -> Attributes:
    """The attributes of `operation` as Python values."""
    return Attributes({name: to_python(value) for name, value in operation.operation.attributes.items()})


def shape_of(value_or_type: Any) -> list[int]:
    """The shape of a ranked tensor, memref or vector (or of a value of such a type); `?` is `DYNAMIC`."""
    type_ = value_or_type.type if isinstance(value_or_type, ir.Value) else value_or_type
    return list(ir.ShapedType(type_).shape)


def element_type_of(value_or_type: Any) -> ir.Type:
    """The element type of a shaped type, or of a value of such a type."""
    type_ = value_or_type.type if isinstance(value_or_type, ir.Value) else value_or_type
    return ir.ShapedType(type_).element_type


def compatible(left: Sequence[int], right: Sequence[int]) -> bool:
    """Whether two shapes can be the same at run time: equal ranks, and sizes equal wherever both are known."""
    return len(left) == len(right) and all(a == b or DYNAMIC in (a, b) for a, b in zip(left, right, strict=True))


def format_shape(shape: Sequence[int]) -> str:
    """`4x?x8`, as in a type."""
    return "x".join("?" if size == DYNAMIC else str(size) for size in shape) or "scalar"


def require(condition: bool, message: str) -> None:
    """Raise ShapeError(message) unless `condition` holds."""
    if not condition:
        raise ShapeError(message)


def verify(operation: ir.Operation, check: Any) -> bool:
    """Run `check`; turn a ShapeError into a located diagnostic on `operation` and False."""
    try:
        # Printing verifies as well, with no context around it, and a rule may make types.
        with operation.context:
            check()
    except ShapeError as error:
        operation.location.emit_error(f"'{operation.name}' op {error}")
        return False
    return True
