"""Powers of integers by integers: products, which wrap as PyTorch's do."""

from __future__ import annotations

from terrace.dialects import graph
from terrace.dialects.base import element_type_of
from terrace.lowering.conversion.torch_to_graph.torch_op import scalar
from terrace.mlir import ir


def integer_power(base: ir.Value, exponent: ir.Value | int) -> ir.Value:
    """`base` to the power `exponent`, both integers of one type, or a number that is at least 0."""
    if isinstance(exponent, int):
        return power_of_number(base, exponent)
    return power_of_tensor(base, exponent)


def power_of_number(base: ir.Value, exponent: int) -> ir.Value:
    """By squaring; 1 for an exponent of 0."""
    result = None
    while exponent:
        if exponent & 1:
            result = base if result is None else graph.MulOp.build(result, base)
        exponent >>= 1
        if exponent:
            base = graph.MulOp.build(base, base)
    if result is not None:
        return result
    # One, in the shape of `base`.
    return graph.DivOp.build(
        one := scalar(1, element_type_of(base)), graph.MaximumOp.build(graph.MinimumOp.build(base, one), one)
    )


def power_of_tensor(base: ir.Value, exponent: ir.Value) -> ir.Value:
    """By squaring, a turn for each bit of a positive exponent. A negative one leaves 1, -1, or 0 of all other bases."""
    element_type = element_type_of(base)
    zero, one = scalar(0, element_type), scalar(1, element_type)
    result, square, bits = one, base, exponent
    for _ in range(element_type.width - 1):
        result = graph.SelectOp.build(is_odd(bits), graph.MulOp.build(result, square), result)
        square, bits = graph.MulOp.build(square, square), graph.ShiftRightOp.build(bits, one)
    minus = scalar(-1, element_type)
    sign = graph.SelectOp.build(is_odd(exponent), minus, one)
    of_minus = graph.SelectOp.build(graph.CompareOp.build(base, minus, predicate="eq"), sign, zero)
    of_unit = graph.SelectOp.build(graph.CompareOp.build(base, one, predicate="eq"), one, of_minus)
    return graph.SelectOp.build(graph.CompareOp.build(exponent, zero, predicate="lt"), of_unit, result)


def is_odd(value: ir.Value) -> ir.Value:
    element_type = element_type_of(value)
    rest = graph.BitwiseAndOp.build(value, scalar(1, element_type))
    return graph.CompareOp.build(rest, scalar(0, element_type), predicate="ne")
