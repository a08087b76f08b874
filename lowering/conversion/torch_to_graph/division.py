"""Divisions that round, their remainders, and shifts of integers.

Integers are divided as integers, not by way of floating point, which holds no integer beyond 2^53 exactly.
"""

from __future__ import annotations

from collections.abc import Callable

from terrace.dialects import graph
from terrace.dialects.base import element_type_of
from terrace.lowering.conversion.torch_to_graph.torch_op import (
    BUILDERS,
    Builder,
    TorchOp,
    cast,
    is_bool,
    is_float,
    scalar,
)
from terrace.lowering.graph.payload_types import compute_type
from terrace.mlir import ir

Binary = Callable[[ir.Value, ir.Value], ir.Value]


def compare(lhs: ir.Value, predicate: str, rhs: ir.Value | None = None) -> ir.Value:
    """`lhs predicate rhs`; 0 is the right side unless given."""
    return graph.CompareOp.build(lhs, scalar(0, element_type_of(lhs)) if rhs is None else rhs, predicate=predicate)


def differ_in_sign(lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    return compare(compare(lhs, "lt"), "ne", compare(rhs, "lt"))


def fmod(lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    """The remainder of the division towards zero."""
    if is_float(element_type_of(lhs)):
        return graph.FmodOp.build(lhs, rhs)
    return graph.SubOp.build(lhs, graph.MulOp.build(graph.DivOp.build(lhs, rhs), rhs))


def is_off(remainder: ir.Value, divisor: ir.Value) -> ir.Value:
    """Whether the quotient towards zero, which left `remainder`, is one above the floor."""
    return graph.MulOp.build(compare(remainder, "ne"), differ_in_sign(remainder, divisor))


def remainder(lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    """The remainder of the division towards minus infinity, with the sign of `rhs`."""
    rest = fmod(lhs, rhs)
    return graph.SelectOp.build(is_off(rest, rhs), graph.AddOp.build(rest, rhs), rest)


def truncated(lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    """The quotient, rounded towards zero."""
    quotient = graph.DivOp.build(lhs, rhs)
    if not is_float(element_type_of(lhs)):
        return quotient
    return graph.SelectOp.build(compare(quotient, "lt"), graph.CeilOp.build(quotient), graph.FloorOp.build(quotient))


def floored(lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    """The quotient, rounded towards minus infinity."""
    return floored_float(lhs, rhs) if is_float(element_type_of(lhs)) else floored_integer(lhs, rhs)


def floored_integer(lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    quotient = graph.DivOp.build(lhs, rhs)
    rest = graph.SubOp.build(lhs, graph.MulOp.build(quotient, rhs))
    less = graph.SubOp.build(quotient, scalar(1, element_type_of(lhs)))
    return graph.SelectOp.build(is_off(rest, rhs), less, quotient)


def floored_float(lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    """As PyTorch computes it: the remainder is exact, so the quotient of the rest is close to an integer."""
    element_type = element_type_of(lhs)
    zero, one = scalar(0, element_type), scalar(1, element_type)
    plain, rest = graph.DivOp.build(lhs, rhs), graph.FmodOp.build(lhs, rhs)
    quotient = graph.DivOp.build(graph.SubOp.build(lhs, rest), rhs)
    quotient = graph.SelectOp.build(is_off(rest, rhs), graph.SubOp.build(quotient, one), quotient)
    floor = graph.FloorOp.build(quotient)
    is_above = compare(graph.SubOp.build(quotient, floor), "gt", scalar(0.5, element_type))
    floor = graph.SelectOp.build(is_above, graph.AddOp.build(floor, one), floor)
    floor = graph.SelectOp.build(compare(quotient, "eq"), graph.CopysignOp.build(zero, plain), floor)
    return graph.SelectOp.build(compare(rhs, "eq"), plain, floor)


def rounding(function: Binary) -> Builder:
    """The builder of an op on operands 0 and 1; half precision is computed in f32 and rounded once."""

    def build(op: TorchOp) -> ir.Value | None:
        element_type = op.result_element_type
        if is_bool(element_type):
            return None
        wide = compute_type(element_type)
        lhs, rhs = op.broadcastable(0, wide), op.broadcastable(1, wide)
        return None if lhs is None or rhs is None else cast(function(lhs, rhs), element_type)

    return build


def divided(op: TorchOp) -> ir.Value | None:
    """`div` with a rounding mode; without one it is a plain division."""
    modes = {"floor": floored, "trunc": truncated}
    mode = op.string(2)
    return rounding(modes[mode])(op) if mode in modes else None


def shifted(op_class: type[graph.TensorOp]) -> Builder:
    """The builder of a shift of integers."""

    def build(op: TorchOp) -> ir.Value | None:
        element_type = op.result_element_type
        if is_float(element_type) or is_bool(element_type):
            return None
        return op_class.build(op.broadcastable(0, element_type), op.broadcastable(1, element_type))

    return build


BUILDERS.update(
    {
        "torch.aten.bitwise_left_shift.Tensor": shifted(graph.ShiftLeftOp),
        "torch.aten.bitwise_right_shift.Tensor": shifted(graph.ShiftRightOp),
        "torch.aten.div.Scalar_mode": divided,
        "torch.aten.div.Tensor_mode": divided,
        "torch.aten.floor_divide": rounding(floored),
        "torch.aten.floor_divide.Scalar": rounding(floored),
        "torch.aten.fmod.Scalar": rounding(fmod),
        "torch.aten.fmod.Tensor": rounding(fmod),
        "torch.aten.remainder.Scalar": rounding(remainder),
        "torch.aten.remainder.Scalar_Tensor": rounding(remainder),
        "torch.aten.remainder.Tensor": rounding(remainder),
    }
)
