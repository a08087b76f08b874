"""The scalar payload of the ops of quantised arithmetic: exact integers, the same on every target.

The specification is in `docs/quantization.md`; every rounding is to nearest, ties to even.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from terrace.dialects import loop
from terrace.dialects.base import Attributes, element_type_of
from terrace.lowering.graph.payload_types import cast, compare, constant, limits, scalar_type, with_element
from terrace.mlir import arith, ir, math, tensor

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
    """Of tiles an op of its own, as machines have ways of theirs; of the scalars in a linalg op the steps."""
    type_ = operands[0].type
    if isinstance(type_, ir.VectorType):
        return loop.RequantizeTileOp(*operands, with_element(type_, element)).operation.results[0]
    value, multiplier, shift = operands
    return requantized(value, multiplier, shift, element)


def requantized(value: ir.Value, multiplier: ir.Value, shift: ir.Value, element: ir.Type) -> ir.Value:
    """value * multiplier / 2^shift in i64, exact, rounded and saturated."""
    value, multiplier, shift = (i64(v) for v in (value, multiplier, shift))
    return saturate(shift_right(arith.muli(value, multiplier), shift), element)


def _scaled_add(attrs: Attributes, operands: Values, element: ir.Type) -> ir.Value:
    left, right = (cast(v, ir.IntegerType.get_signless(32)) for v in operands)
    scaled = [
        arith.muli(value, constant(value.type, multiplier))
        for value, multiplier in ((left, attrs.lhs_multiplier), (right, attrs.rhs_multiplier))
    ]
    return saturate(shift_right(arith.addi(*scaled), constant(left.type, attrs.shift)), element)


def look_up(index: ir.Value, table: ir.DenseElementsAttr) -> ir.Value:
    """table[index]: of a tile, or of the scalar in a linalg op."""
    element = element_type_of(table.type)
    if isinstance(index.type, ir.VectorType):
        return loop.LookupTileOp(index, table, with_element(index.type, element)).operation.results[0]
    return tensor.extract(arith.constant(table.type, table), [arith.index_cast(ir.IndexType.get(), index)])


def _lookup(attrs: Attributes, operands: Values, element: ir.Type) -> ir.Value:
    wide = cast(operands[0], ir.IntegerType.get_signless(32))
    return look_up(arith.addi(wide, constant(wide.type, 128)), attrs.table)


# ---------------------------------------------------------------------------------------------------------------------
# Steps of softmax and layer norm
# ---------------------------------------------------------------------------------------------------------------------

ROOT_BITS = 31
"""The bits of the root of a number below 2^62."""


def i64(value: ir.Value) -> ir.Value:
    return cast(value, ir.IntegerType.get_signless(64))


def exponential(value: ir.Value, largest: ir.Value, table: ir.DenseElementsAttr) -> ir.Value:
    """e(x) of `graph.integer_softmax`; both operands are i8."""
    wide, most = (cast(v, ir.IntegerType.get_signless(32)) for v in (value, largest))
    return look_up(arith.addi(arith.subi(wide, most), constant(wide.type, 255)), table)


def softmax_factor(total: ir.Value) -> ir.Value:
    """r of `graph.integer_softmax`."""
    total = i64(total)
    return arith.divsi(constant(total.type, 127 << 40), total)


def softmax_result(power: ir.Value, factor: ir.Value) -> ir.Value:
    product = arith.muli(i64(power), factor)
    return saturate(shift_right(product, constant(product.type, 40)), ir.IntegerType.get_signless(8))


def centred(value: ir.Value, total: ir.Value, count: int) -> ir.Value:
    """c of `graph.integer_layer_norm`; `total` is an i32."""
    wide = cast(value, ir.IntegerType.get_signless(32))
    return arith.subi(arith.muli(wide, constant(wide.type, count)), total)


def squared(value: ir.Value) -> ir.Value:
    wide = i64(value)
    return arith.muli(wide, wide)


def radicand(squares: ir.Value, count: int, epsilon: int) -> ir.Value:
    """2^16 * w of `graph.integer_layer_norm`."""
    mean = arith.divsi(squares, constant(squares.type, count))
    return arith.shli(arith.addi(mean, constant(mean.type, epsilon)), constant(mean.type, 16))


def next_root(root: ir.Value, bit: ir.Value, number: ir.Value) -> ir.Value:
    """One step of the floor of a square root, from the highest bit down: `bit` stays in where its square fits."""
    candidate = arith.addi(root, bit)
    return arith.select(compare("le", arith.muli(candidate, candidate), number), candidate, root)


def next_root_and_rest(root: ir.Value, rest: ir.Value, place: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The same step without a product: `rest` is the number less the square of the root so far, `place` the bit's."""
    one = constant(root.type, 1)
    # (root + bit)^2 - root^2 = bit * (2 * root + bit).
    more = arith.addi(arith.shli(root, arith.addi(place, one)), arith.shli(one, arith.addi(place, place)))
    fits = compare("le", more, rest)
    next_root = arith.select(fits, arith.addi(root, arith.shli(one, place)), root)
    return next_root, arith.select(fits, arith.subi(rest, more), rest)


def norm_factor(root: ir.Value) -> ir.Value:
    """floor(2^48 / r) of `graph.integer_layer_norm`, of the floor of the root."""
    one = constant(root.type, 1)
    return arith.divsi(constant(root.type, 1 << 48), arith.maxsi(root, one))


def norm_result(value: ir.Value, factor: ir.Value) -> ir.Value:
    product = arith.muli(i64(value), factor)
    return cast(shift_right(product, constant(product.type, 30)), ir.IntegerType.get_signless(32))


QUANTIZED: dict[str, Callable[[Attributes, Values, Any], ir.Value]] = {
    "dequantize": _dequantize,
    "lookup": _lookup,
    "quantize": _quantize,
    "requantize": _requantize,
    "scaled_add": _scaled_add,
}
"""Emitters by name without `graph.`, from attributes, operands and the result's element type."""
