"""What the op classes of all Terrace dialects share: attribute conversion, building, and one rule for shapes.

An op that can infer its result states the rule once, in `infer` (see `graph.TensorOp`); the verifier compares the
inferred type with the declared one, and `build` uses the same rule to make the result type.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrace.mlir import DYNAMIC, ext, ir


class I64Array(ir.Attribute):
    """The kind of an attribute of an op class: `array<i64: ...>`. The bindings know dense arrays of any type only."""

    attr_name = "builtin.dense_array"
    kind = ir.DenseI64ArrayAttr
    text = "an array<i64>"


class Bool(ir.Attribute):
    """The kind of an attribute of an op class: true or false. The bindings know integers of any type only."""

    attr_name = "builtin.integer"
    kind = ir.BoolAttr
    text = "true or false"


class ShapeError(ValueError):
    """The operands and attributes of an op contradict each other. The text completes "'graph.x' op ..."."""


AttributeValue = (
    bool | int | float | str | ir.Attribute | ir.Type | Sequence["AttributeValue"] | Mapping[str, "AttributeValue"]
)
"""What `to_attribute` takes."""


def to_attribute(value: AttributeValue) -> ir.Attribute:
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
        return {name: to_python(item) for name, item in entries_of(attribute).items()}
    return attribute


def entries_of(attribute: ir.Attribute) -> dict[str, ir.Attribute]:
    """What a dictionary attribute holds. Raises TypeError for what the bindings have no class for: array<si8>."""
    dictionary = ir.DictAttr(attribute)
    # Not `item.attr`, which ends the process then.
    return {item.name: dictionary[item.name] for item in dictionary}


class Attributes:
    """Read access to an op's attributes as Python values: `attrs.strides`, with a clear error for a missing one."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self._attributes = attributes

    def __getattr__(self, name: str) -> Any:
        try:
            return self._attributes[name]
        except KeyError:
            raise ShapeError(f"requires attribute '{name}'") from None

    def get(self, name: str, default: Any) -> Any:
        """An attribute that may be missing."""
        return self._attributes.get(name, default)


def attributes_of(operation: ir.Operation | ir.OpView) -> Attributes:
    """The attributes of `operation` as Python values. Raises ShapeError for one that the bindings cannot give."""
    try:
        return Attributes({name: to_python(value) for name, value in operation.operation.attributes.items()})
    except TypeError as error:  # Of the bindings, which have no class for array<si8>, and more of this kind.
        raise ShapeError(f"has an attribute of a kind that Terrace's ops do not take: {error}") from error


def shape_of(value_or_type: ir.Value | ir.Type) -> list[int]:
    """The shape of a ranked tensor, memref or vector (or of a value of such a type); `?` is `DYNAMIC`."""
    type_ = value_or_type.type if isinstance(value_or_type, ir.Value) else value_or_type
    return list(ir.ShapedType(type_).shape)


def element_type_of(value_or_type: ir.Value | ir.Type) -> ir.Type:
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


def verify(view: ir.OpView, check: Callable[[], None]) -> bool:
    """Run `check`; turn a ShapeError into a located diagnostic on the op and False.

    `check` may rely on the operands, results, regions and kinds of attributes that the op's class declares. Where
    these are others, it does not run: the bindings check them next, and say what they miss.
    """
    operation = view.operation
    try:
        # Printing verifies as well, with no context around it, and a rule may make types.
        with operation.context:
            if _is_declared(view):
                check()
    except ShapeError as error:
        operation.location.emit_error(f"'{operation.name}' op {error}")
        return False
    # What a slip in a rule raises. Said here it has a place; through MLIR's C++ it may end the process.
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {frame.filename}:{frame.lineno}: {error}"
        operation.location.emit_error(f"'{operation.name}' op cannot be verified, a defect of its verifier: {where}")
        return False
    return True


class _Values:
    """The operands, or the results, that an op's class declares."""

    def __init__(self, fields: Sequence[Any], segments: str) -> None:
        self.fields, self.segments = tuple(fields), segments
        self.is_fixed = all(field.variadicity == ext.Variadicity.single for field in fields)
        self.kinds = tuple((n, field.constraint) for n, field in enumerate(fields) if field.constraint is not Any)

    def fit(self, operation: ir.Operation, values: Sequence[ir.Value]) -> bool:
        """Whether values are as many as declared, and of the kinds of types."""
        if self.is_fixed:
            return len(values) == len(self.fields) and all(isinstance(values[n].type, kind) for n, kind in self.kinds)
        counts = _counts(operation, self.fields, len(values), self.segments)
        if counts is None:
            return False
        kinds = [field.constraint for field, count in zip(self.fields, counts, strict=True) for _ in range(count)]
        return all(kind is Any or isinstance(v.type, kind) for v, kind in zip(values, kinds, strict=True))


@functools.cache
def _declared(cls: type[ir.OpView]) -> tuple[_Values, _Values, tuple[Any, ...], int]:
    """The operands, results and attributes that an op's class declares, and how many regions."""
    operands, attributes, results, regions = ext.partition_fields(cls._fields)
    values = _Values(operands, "operandSegmentSizes"), _Values(results, "resultSegmentSizes")
    return *values, tuple(attributes), len(regions)


def _is_declared(view: ir.OpView) -> bool:
    """Whether an op has the operands, results, regions and attributes that its class declares.

    Raises ShapeError for kinds of attributes that the bindings take for others.
    """
    operation = view.operation
    operands, results, attributes, regions = _declared(type(view))  # type: ignore[arg-type]  # hashable, as types are
    return (
        len(operation.regions) == regions
        and operands.fit(operation, operation.operands)
        and results.fit(operation, operation.results)
        and all(_has_attribute(operation, field) for field in attributes)
    )


def _counts(operation: ir.Operation, fields: Sequence[Any], total: int, segments: str) -> list[int] | None:
    """How many values each field has, or None if they are not as many as declared."""
    variadic = [field.variadicity != ext.Variadicity.single for field in fields]
    if segments in operation.attributes:
        sizes = _attribute(operation, segments)
        counts = list(sizes) if isinstance(sizes, ir.DenseI32ArrayAttr) else []
        is_right = len(counts) == len(fields) and all(
            count >= 0 if many else count == 1 for count, many in zip(counts, variadic, strict=True)
        )
        return counts if is_right and sum(counts) == total else None
    rest = total - variadic.count(False)
    return [rest if many else 1 for many in variadic] if variadic.count(True) == 1 and rest >= 0 else None


def _attribute(operation: ir.Operation, name: str) -> ir.Attribute | None:
    """An attribute; None for one that the bindings cannot give, as in `attributes_of`."""
    try:
        found: ir.Attribute = operation.attributes[name]
    except TypeError:
        return None
    return found


def _has_attribute(operation: ir.Operation, field: ext.AttributeDef) -> bool:
    if field.name not in operation.attributes:
        return False
    kind = field.constraint
    if kind is Any:
        return True
    value = _attribute(operation, field.name)
    if isinstance(kind, type) and issubclass(kind, (I64Array, Bool)):
        require(isinstance(value, kind.kind), f"attribute '{field.name}' must be {kind.text}")
        return True
    return isinstance(value, kind)
