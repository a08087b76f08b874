"""The elementwise ops of the graph dialect on numbers of every kind."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from terrace.dialects.base import Attributes, ShapeError
from terrace.dialects.graph_base import Elementwise, Operand, Result, Tensor, require_same_type
from terrace.element_types import ELEMENT_TYPES
from terrace.mlir import ext, ir


class AbsOp(Elementwise, name="abs", traits=[ext.Pure]):
    """|x|."""

    input: Operand[Tensor]
    result: Result[Tensor]


class CeilOp(Elementwise, name="ceil", traits=[ext.Pure]):
    """The smallest integer that is at least x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class CosOp(Elementwise, name="cos", traits=[ext.Pure]):
    """cos(x), x in radians."""

    input: Operand[Tensor]
    result: Result[Tensor]


class ErfOp(Elementwise, name="erf", traits=[ext.Pure]):
    """The error function of x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class ExpOp(Elementwise, name="exp", traits=[ext.Pure]):
    """e to the power x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class Expm1Op(Elementwise, name="expm1", traits=[ext.Pure]):
    """exp(x) - 1, to the last digits near 0."""

    input: Operand[Tensor]
    result: Result[Tensor]


class FloorOp(Elementwise, name="floor", traits=[ext.Pure]):
    """The largest integer that is at most x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class GeluOp(Elementwise, name="gelu", traits=[ext.Pure]):
    """x * Phi(x). `approximate` is "none" (by erf) or "tanh" (0.5x(1+tanh(sqrt(2/pi)(x+0.044715x^3))))."""

    input: Operand[Tensor]
    approximate: ir.StringAttr
    result: Result[Tensor]


class HardsigmoidOp(Elementwise, name="hardsigmoid", traits=[ext.Pure]):
    """clamp(x + 3, 0, 6) / 6."""

    input: Operand[Tensor]
    result: Result[Tensor]


class HardswishOp(Elementwise, name="hardswish", traits=[ext.Pure]):
    """x * clamp(x + 3, 0, 6) / 6."""

    input: Operand[Tensor]
    result: Result[Tensor]


class LogOp(Elementwise, name="log", traits=[ext.Pure]):
    """The natural logarithm of x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class Log1pOp(Elementwise, name="log1p", traits=[ext.Pure]):
    """log(1 + x), to the last digits near 0."""

    input: Operand[Tensor]
    result: Result[Tensor]


class NegOp(Elementwise, name="neg", traits=[ext.Pure]):
    """-x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class ReluOp(Elementwise, name="relu", traits=[ext.Pure]):
    """0 where x < 0, else x; so NaN stays NaN."""

    input: Operand[Tensor]
    result: Result[Tensor]


class RoundOp(Elementwise, name="round", traits=[ext.Pure]):
    """The nearest integer, of two the even one, with the sign of the input where it is 0."""

    input: Operand[Tensor]
    result: Result[Tensor]


class RsqrtOp(Elementwise, name="rsqrt", traits=[ext.Pure]):
    """1 / sqrt(x)."""

    input: Operand[Tensor]
    result: Result[Tensor]


class SigmoidOp(Elementwise, name="sigmoid", traits=[ext.Pure]):
    """1 / (1 + exp(-x))."""

    input: Operand[Tensor]
    result: Result[Tensor]


class SiluOp(Elementwise, name="silu", traits=[ext.Pure]):
    """x / (1 + exp(-x))."""

    input: Operand[Tensor]
    result: Result[Tensor]


class SinOp(Elementwise, name="sin", traits=[ext.Pure]):
    """sin(x), x in radians."""

    input: Operand[Tensor]
    result: Result[Tensor]


class SqrtOp(Elementwise, name="sqrt", traits=[ext.Pure]):
    """The square root of x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class TanhOp(Elementwise, name="tanh", traits=[ext.Pure]):
    """tanh(x)."""

    input: Operand[Tensor]
    result: Result[Tensor]


class AddOp(Elementwise, name="add", traits=[ext.Pure]):
    """lhs + rhs."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class SubOp(Elementwise, name="sub", traits=[ext.Pure]):
    """lhs - rhs."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class MulOp(Elementwise, name="mul", traits=[ext.Pure]):
    """lhs * rhs."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class DivOp(Elementwise, name="div", traits=[ext.Pure]):
    """lhs / rhs; integers round towards zero, wrap where the quotient does not fit, and give 0 for a divisor of 0."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class FmodOp(Elementwise, name="fmod", traits=[ext.Pure]):
    """lhs - trunc(lhs / rhs) * rhs, exactly, with the sign of lhs, on floats; NaN for rhs = 0 and lhs infinite."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class CopysignOp(Elementwise, name="copysign", traits=[ext.Pure]):
    """|lhs| with the sign bit of rhs, on floating point, zeros and NaN included."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class ShiftLeftOp(Elementwise, name="shift_left", traits=[ext.Pure]):
    """lhs * 2^rhs on integers, wrapping; 0 where rhs is negative or not below the width."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class ShiftRightOp(Elementwise, name="shift_right", traits=[ext.Pure]):
    """floor(lhs / 2^rhs) on integers; 0 or -1, by the sign of lhs, where rhs is negative or not below the width."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class BitwiseAndOp(Elementwise, name="bitwise_and", traits=[ext.Pure]):
    """The bits that both integers, or truth values, have."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class BitwiseOrOp(Elementwise, name="bitwise_or", traits=[ext.Pure]):
    """The bits that one of two integers, or truth values, has."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class BitwiseXorOp(Elementwise, name="bitwise_xor", traits=[ext.Pure]):
    """The bits that exactly one of two integers, or truth values, has."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class PowOp(Elementwise, name="pow", traits=[ext.Pure]):
    """lhs to the power rhs, on floating point."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class MaximumOp(Elementwise, name="maximum", traits=[ext.Pure]):
    """The larger of both; NaN if either is NaN."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class MinimumOp(Elementwise, name="minimum", traits=[ext.Pure]):
    """The smaller of both; NaN if either is NaN."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class CompareOp(Elementwise, name="compare", traits=[ext.Pure]):
    """lhs `predicate` rhs as i1; `predicate` is one of eq, ne, lt, le, gt, ge. Any comparison with NaN but ne is 0."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    predicate: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        if attrs.predicate not in ("eq", "ne", "lt", "le", "gt", "ge"):
            raise ShapeError(f"unknown predicate '{attrs.predicate}'")
        require_same_type(types)
        return ir.IntegerType.get_signless(1)


class SelectOp(Elementwise, name="select", traits=[ext.Pure]):
    """`on_true` where `condition` (i1) is 1, else `on_false`."""

    condition: Operand[Tensor]
    on_true: Operand[Tensor]
    on_false: Operand[Tensor]
    result: Result[Tensor]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        if types[0] != ir.IntegerType.get_signless(1):
            raise ShapeError(f"condition must have element type i1, got {types[0]}")
        return require_same_type(types[1:3])


class BitcastOp(Elementwise, name="bitcast", traits=[ext.Pure]):
    """The bits of each element as another type of as many bits, as `Tensor.view(dtype)`.

    No type for storage alone (f16, bf16), whose numbers kernels hold in another one.
    """

    input: Operand[Tensor]
    result: Result[Tensor]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return types[0]

    @classmethod
    def accepts(cls, inferred: ir.Type, declared: ir.Type, attrs: Attributes) -> bool:
        rows = [ELEMENT_TYPES[str(type_)] for type_ in (inferred, declared)]
        return rows[0].bits == rows[1].bits and all(row.held == row for row in rows)


class CastOp(Elementwise, name="cast", traits=[ext.Pure]):
    """The same number in the result's element type, as `Tensor.to(dtype)`: float to integer truncates towards zero."""

    input: Operand[Tensor]
    result: Result[Tensor]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return None
