"""Types, constants, casts and comparisons of the scalar payload: what its emitters have in common.

A vector of any rank stands for its elements; constants become splats of its shape.
"""

from __future__ import annotations

from typing import Any

from terrace.element_types import ELEMENT_TYPES
from terrace.mlir import arith, ir, math


def scalar_type(type_: ir.Type) -> Any:
    """The element type of a vector type; any other type is itself."""
    return type_.element_type if isinstance(type_, ir.VectorType) else type_


def with_element(type_: ir.Type, element: ir.Type) -> ir.Type:
    """`type_` with another element type: a vector keeps its shape (and scalable dimensions)."""
    if isinstance(type_, ir.VectorType):
        return ir.VectorType.get(type_.shape, element, scalable=type_.scalable_dims if type_.scalable else None)
    return element


def is_float(type_: ir.Type) -> bool:
    """Whether `type_` is a floating-point scalar type."""
    return isinstance(type_, ir.FloatType)


def compute_type(element: ir.Type) -> ir.Type:
    """The type that elements of a scalar type are computed in: f32 for narrower floats, else the type itself."""
    row = ELEMENT_TYPES.get(str(element))
    return element if row is None or row.computes_in == row.name else ir.Type.parse(row.computes_in)


def is_bool(type_: ir.Type) -> bool:
    """Whether `type_` is i1."""
    return isinstance(type_, ir.IntegerType) and type_.width == 1


def constant(type_: ir.Type, value: float) -> ir.Value:
    """The constant `value` of `type_`, splat when it is a vector type."""
    element = scalar_type(type_)
    attribute = (
        ir.FloatAttr.get(element, float(value)) if is_float(element) else ir.IntegerAttr.get(element, int(value))
    )
    if isinstance(type_, ir.VectorType):
        attribute = ir.DenseElementsAttr.get_splat(type_, attribute)
    return arith.constant(type_, attribute)


# ---------------------------------------------------------------------------------------------------------------------
# Casts and comparisons
# ---------------------------------------------------------------------------------------------------------------------


def cast(value: ir.Value, element: ir.Type) -> ir.Value:
    """`value` as `element`, a scalar type: the same number where it exists, truncated towards zero to an integer."""
    source = scalar_type(value.type)
    if source == element:
        return value
    target = with_element(value.type, element)
    if is_float(source) and is_float(element):
        return _cast_float(value, source, target)
    if is_bool(element):
        return compare("ne", value, constant(value.type, 0))
    if is_float(source):
        # To narrow integers by way of i32, whose last bits are what numbers beyond them become in PyTorch on x86.
        wide = with_element(value.type, ir.IntegerType.get_signless(max(32, element.width)))
        whole = arith.fptosi(wide, value)
        return whole if wide == target else arith.trunci(target, whole)
    return _cast_integer(value, source, target)


def _cast_integer(value: ir.Value, source: ir.Type, target: ir.Type) -> ir.Value:
    element = scalar_type(target)
    if is_bool(source):
        # One masked move of ones; conversions take three instructions.
        return arith.select(value, constant(target, 1), constant(target, 0))
    if is_float(element):
        return arith.sitofp(target, value)
    return (arith.trunci if source.width > element.width else arith.extsi)(target, value)


def _cast_float(value: ir.Value, source: ir.Type, target: ir.Type) -> ir.Value:
    element = scalar_type(target)
    if source.width < element.width:
        return arith.extf(target, value)
    if source.width > element.width:
        return arith.truncf(target, value)
    # f16 and bf16 have equal widths, and no op converts one into the other.
    wide = arith.extf(with_element(value.type, ir.F32Type.get()), value)
    return arith.truncf(target, wide)


def rounded(value: ir.Value, element: ir.Type) -> ir.Value:
    """`value`, of the type that `element` is computed in, as the nearest number that `element` holds (ties to even)."""
    wide = scalar_type(value.type)
    if wide == element or not is_float(element):
        return value
    if not isinstance(element, ir.BF16Type):
        return cast(cast(value, element), wide)
    # Not by truncf and extf: IREE's `convert-bf16-arith-to-f32` takes them for two conversions that undo each other.
    bits = arith.bitcast(with_element(value.type, ir.IntegerType.get_signless(32)), value)
    kept, dropped = (constant(bits.type, number) for number in (-1 << 16, 16))
    # Half less one, plus one where what is kept is odd: exactly half then carries into an odd number only.
    odd = arith.andi(arith.shrui(bits, dropped), constant(bits.type, 1))
    nearest = arith.andi(arith.addi(bits, arith.addi(odd, constant(bits.type, 0x7FFF))), kept)
    return arith.select(compare("eq", value, value), arith.bitcast(value.type, nearest), value)


FLOAT_PREDICATES = {
    "eq": arith.CmpFPredicate.OEQ,
    "ne": arith.CmpFPredicate.UNE,
    "lt": arith.CmpFPredicate.OLT,
    "le": arith.CmpFPredicate.OLE,
    "gt": arith.CmpFPredicate.OGT,
    "ge": arith.CmpFPredicate.OGE,
}
SIGNED_PREDICATES = {
    "eq": arith.CmpIPredicate.eq,
    "ne": arith.CmpIPredicate.ne,
    "lt": arith.CmpIPredicate.slt,
    "le": arith.CmpIPredicate.sle,
    "gt": arith.CmpIPredicate.sgt,
    "ge": arith.CmpIPredicate.sge,
}
BOOL_PREDICATES = {
    **SIGNED_PREDICATES,
    "lt": arith.CmpIPredicate.ult,
    "le": arith.CmpIPredicate.ule,
    "gt": arith.CmpIPredicate.ugt,
    "ge": arith.CmpIPredicate.uge,
}


def compare(predicate: str, lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    """`lhs predicate rhs` as i1: ordered for floats (ne unordered), signed for integers, unsigned for i1."""
    element = scalar_type(lhs.type)
    if is_float(element):
        return arith.cmpf(FLOAT_PREDICATES[predicate], lhs, rhs)
    return arith.cmpi((BOOL_PREDICATES if is_bool(element) else SIGNED_PREDICATES)[predicate], lhs, rhs)


# ---------------------------------------------------------------------------------------------------------------------
# Reductions
# ---------------------------------------------------------------------------------------------------------------------

_COMBINE = {
    "sum": (arith.addf, arith.addi),
    "max": (arith.maximumf, arith.maxsi),
    "prod": (arith.mulf, arith.muli),
}


def combine(kind: str, left: ir.Value, right: ir.Value) -> ir.Value:
    """Two elements, or tiles of them, reduced to one by `kind`: sum, max (NaN propagates) or prod."""
    on_floats, on_integers = _COMBINE[kind]
    return (on_floats if is_float(scalar_type(left.type)) else on_integers)(left, right)


def follow(kind: str, before: ir.Value, after: ir.Value) -> ir.Value:
    """What so far was `before`, with `after`, by "sum", "prod", "max" or "min". Any grouping of an order is as good.

    A NaN is the extreme of all that follow it; of equal elements the last is given.
    """
    if kind in ("sum", "prod"):
        return combine(kind, before, after)
    if not is_float(scalar_type(after.type)):
        return (arith.maxsi if kind == "max" else arith.minsi)(before, after)
    comes = arith.ori(compare("ge" if kind == "max" else "le", after, before), compare("ne", after, after))
    return arith.select(comes, after, before)


def larger_number(largest: ir.Value, value: ir.Value) -> ir.Value:
    """The larger of two floats; a `value` that is NaN does not count, which takes a third of the instructions."""
    return arith.select(compare("gt", value, largest), value, largest)


def multiply_add(left: ir.Value, right: ir.Value, accumulator: ir.Value) -> ir.Value:
    """accumulator + left * right, all of one type; floats are rounded once."""
    if is_float(scalar_type(accumulator.type)):
        return math.fma(left, right, accumulator)
    return arith.addi(accumulator, arith.muli(left, right))


def limits(element: ir.IntegerType) -> tuple[int, int]:
    """The smallest and the largest number of a signed integer type."""
    half = 1 << (element.width - 1)
    return -half, half - 1


def neutral(kind: str, element: ir.Type) -> float:
    """What changes nothing in a reduction by `kind`."""
    if kind not in ("max", "min"):
        return 1 if kind == "prod" else 0
    if is_float(element):
        return float("-inf" if kind == "max" else "inf")
    return limits(element)[kind == "min"]
