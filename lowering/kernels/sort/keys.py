"""Integers in the order of a tensor's elements."""

from __future__ import annotations

from terrace.lowering.graph.payload_types import (
    cast,
    compare,
    compute_type,
    constant,
    is_float,
    limits,
    scalar_type,
    with_element,
)
from terrace.mlir import arith, ir

KEY_BITS = 32
"""Those of a key, where elements have no more; else as many as these."""


def key_type(element: ir.Type) -> ir.IntegerType:
    """The type of the keys of elements of this type."""
    return ir.IntegerType.get_signless(max(KEY_BITS, compute_type(element).width))


def keys_of(value: ir.Value, descending: bool) -> ir.Value:
    """A signed integer for each element, or tile of them: the smaller, the earlier in order. NaN is the largest number.

    `value` is of the type that elements are computed in.
    """
    element = scalar_type(value.type)
    key = _of_float(value) if is_float(element) else cast(value, key_type(element))
    return arith.xori(key, constant(key.type, -1)) if descending else key


def _of_float(value: ir.Value) -> ir.Value:
    """The bits of a float ascend with it, where they are taken for a sign and a number: here these are exchanged."""
    # Both zeros are equal; a sum with 0 has its sign.
    value = arith.addf(value, constant(value.type, 0.0))
    integer = key_type(scalar_type(value.type))
    bits = arith.bitcast(with_element(value.type, integer), value)
    largest = constant(bits.type, limits(integer)[1])
    signs = arith.shrsi(bits, constant(bits.type, integer.width - 1))
    ordered = arith.xori(bits, arith.andi(signs, largest))
    return arith.select(compare("eq", value, value), ordered, largest)
