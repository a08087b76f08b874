"""The scalar payload of the ops of quantised arithmetic: exact integers, the same on every target.

The specification is in `docs/quantization.md`; every rounding is to nearest, ties to even.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from terrace.dialects.base import Attributes
from terrace.lowering.conversion.payload_types import cast, compare, constant, limits, scalar_type, with_element
from terrace.mlir import arith, ir, math

Values = list[ir.Value]


def _quantize(attrs: Attributes, operands: Values, element: ir.Type) -> ir.Value:
    """Saturation comes before the conversion, whose result is undefined where a number does not fit."""
    value, scale = operands
    ratio = math.roundeven(arith.divf(value, scale))
    # In float64, where every bound of an integer type is exact.
    wide = cast(ratio, ir.F64Type.get()) if element.width > 16 else ratio
    low, high = (constant(wide.type, bound) for bound in limits(element))
    number = arith.select(compare("eq", wide, wide), wide, constant(wide.type, 0))
    number = arith.minimumf(arith.maximumf(number, low), high)
    return arith.fptosi(with_element(value.type, element), number)


def _dequantize(attrs: Attributes, operands: Values, element: ir.Type) -> ir.Value:
    value, scale = operands
    return arith.mulf(cast(value, scalar_type(scale.type)), scale)


def saturate(value: ir.Value, element: ir.Type) -> ir.Value:
    """An integer in a narrower type, limited to what that holds."""
    low, high = (constant(value.type, bound) for bound in limits(element))
    return cast(arith.minsi(arith.maxsi(value, low), high), element)


def shift_right(value: ir.Value, shift: ir.Value) -> ir.Value:
    """value / 2^shift, rounded to nearest, ties to even, for shift >= 1 and |value| < 2^(width - 2)."""
    one = constant(value.type, 1)
    almost_half = arith.subi(arith.shli(one, arith.subi(shift, one)), one)
    # Half less one, plus one where what is kept is odd: exactly half then carries into an odd number only.
    odd = arith.andi(arith.shrsi(value, shift), one)
    return arith.shrsi(arith.addi(value, arith.addi(almost_half, odd)), shift)


def _requantize(attrs: Attributes, operands: Values, element: ir.Type) -> ir.Value:
    value, multiplier, shift = (cast(v, ir.IntegerType.get_signless(64)) for v in operands)
    return saturate(shift_right(arith.muli(value, multiplier), shift), element)


def _scaled_add(attrs: Attributes, operands: Values, element: ir.Type) -> ir.Value:
    left, right = (cast(v, ir.IntegerType.get_signless(32)) for v in operands)
    scaled = [
        arith.muli(value, constant(value.type, multiplier))
        for value, multiplier in ((left, attrs.lhs_multiplier), (right, attrs.rhs_multiplier))
    ]
    return saturate(shift_right(arith.addi(*scaled), constant(left.type, attrs.shift)), element)


QUANTIZED: dict[str, Callable[[Attributes, Values, Any], ir.Value]] = {
    "dequantize": _dequantize,
    "quantize": _quantize,
    "requantize": _requantize,
    "scaled_add": _scaled_add,
}
"""Emitters by name without `graph.`, from attributes, operands and the result's element type."""
