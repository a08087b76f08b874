"""Elementwise torch ops: arithmetic, comparisons, activations, casts, and the ops that are the identity here."""

from __future__ import annotations

import math
from collections.abc import Callable

from terrace.dialects import graph
from terrace.dialects.base import element_type_of, shape_of
from terrace.lowering.conversion.torch_to_graph.integer_power import integer_power
from terrace.lowering.conversion.torch_to_graph.torch_op import (
    BUILDERS,
    Builder,
    Number,
    TorchOp,
    cast,
    converts,
    is_bool,
    is_float,
    is_unsigned,
    scalar,
)
from terrace.lowering.conversion.torch_to_graph.unsigned import CASTS, cast_to_unsigned, cast_unsigned
from terrace.mlir import ir

# ---------------------------------------------------------------------------------------------------------------------
# One operand
# ---------------------------------------------------------------------------------------------------------------------

FLOAT_UNARY: dict[str, type[graph.TensorOp]] = {
    "torch.aten.ceil": graph.CeilOp,
    "torch.aten.cos": graph.CosOp,
    "torch.aten.erf": graph.ErfOp,
    "torch.aten.exp": graph.ExpOp,
    "torch.aten.expm1": graph.Expm1Op,
    "torch.aten.floor": graph.FloorOp,
    "torch.aten.hardsigmoid": graph.HardsigmoidOp,
    "torch.aten.hardswish": graph.HardswishOp,
    "torch.aten.log": graph.LogOp,
    "torch.aten.log1p": graph.Log1pOp,
    "torch.aten.round": graph.RoundOp,
    "torch.aten.rsqrt": graph.RsqrtOp,
    "torch.aten.sigmoid": graph.SigmoidOp,
    "torch.aten.silu": graph.SiluOp,
    "torch.aten.sin": graph.SinOp,
    "torch.aten.sqrt": graph.SqrtOp,
    "torch.aten.tanh": graph.TanhOp,
}
ANY_UNARY: dict[str, type[graph.TensorOp]] = {
    "torch.aten.abs": graph.AbsOp,
    "torch.aten.neg": graph.NegOp,
    "torch.aten.relu": graph.ReluOp,
}


def unary(op_class: type[graph.TensorOp], needs_float: bool) -> Builder:
    """The builder of an op with one operand; an integer operand is cast to the result's type first."""

    def build(op: TorchOp) -> ir.Value | None:
        element_type = op.result_element_type
        if is_bool(element_type) or (needs_float and not is_float(element_type)):
            return None
        return op_class.build(cast(op.tensor(0), element_type), result_type=op.result_type)

    return build


BUILDERS.update({name: unary(op_class, needs_float=True) for name, op_class in FLOAT_UNARY.items()})
BUILDERS.update({name: unary(op_class, needs_float=False) for name, op_class in ANY_UNARY.items()})


@converts(
    "torch.aten.alias",
    "torch.aten.clone",
    "torch.aten.contiguous",
    "torch.aten.detach",
    "torch.aten.lift_fresh_copy",
)
def build_identity(op: TorchOp) -> ir.Value | None:
    return op.tensor(0)


@converts("torch.aten.dropout")
def build_dropout(op: TorchOp) -> ir.Value | None:
    return None if op.flag(2) else op.tensor(0)


@converts(*CASTS)
def build_cast(op: TorchOp) -> ir.Value | None:
    if is_unsigned(op.value(0).type):
        return cast_unsigned(op.tensor(0), op.result_element_type)
    make = cast_to_unsigned if op.is_result_unsigned else cast
    return make(op.tensor(0), op.result_element_type)


@converts("torch.aten.gelu")
def build_gelu(op: TorchOp) -> ir.Value | None:
    approximate = op.string(1)
    if approximate not in ("none", "tanh"):
        return None
    return graph.GeluOp.build(op.tensor(0), approximate=approximate)


@converts("torch.aten.reciprocal")
def build_reciprocal(op: TorchOp) -> ir.Value | None:
    element_type = op.result_element_type
    return graph.DivOp.build(scalar(1, element_type), cast(op.tensor(0), element_type))


@converts("torch.aten.isnan")
def build_isnan(op: TorchOp) -> ir.Value | None:
    """Only NaN differs from itself."""
    value = op.tensor(0)
    return graph.CompareOp.build(value, value, predicate="ne")


@converts("torch.aten.isfinite", "torch.aten.isinf")
def build_isfinite(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    if not is_float(element_type_of(value)):
        # Each number equals itself.
        return graph.CompareOp.build(value, value, predicate="eq" if op.name == "torch.aten.isfinite" else "ne")
    predicate = "lt" if op.name == "torch.aten.isfinite" else "eq"
    infinity = scalar(math.inf, element_type_of(value))
    return graph.CompareOp.build(graph.AbsOp.build(value), infinity, predicate=predicate)


@converts("torch.aten.sgn", "torch.aten.sign")
def build_sign(op: TorchOp) -> ir.Value | None:
    """1, -1, or 0 for all that is neither above nor below 0 (NaN too, as in PyTorch)."""
    value = op.tensor(0)
    element_type = element_type_of(value)
    if is_bool(element_type):
        return value
    zero = scalar(0, element_type)
    is_negative = graph.CompareOp.build(value, zero, predicate="lt")
    is_positive = graph.CompareOp.build(value, zero, predicate="gt")
    below = graph.SelectOp.build(is_negative, scalar(-1, element_type), zero)
    return graph.SelectOp.build(is_positive, scalar(1, element_type), below)


@converts("torch.aten.logical_not", "torch.aten.bitwise_not")
def build_not(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    element_type = element_type_of(value)
    if op.name == "torch.aten.bitwise_not" and not is_bool(element_type):
        return graph.BitwiseXorOp.build(value, scalar(-1, element_type))
    return graph.CompareOp.build(value, scalar(0, element_type), predicate="eq")


# ---------------------------------------------------------------------------------------------------------------------
# Bounds and slopes
# ---------------------------------------------------------------------------------------------------------------------


@converts("torch.aten.clamp", "torch.aten.clamp.Tensor", "torch.aten.hardtanh")
def build_clamp(op: TorchOp) -> ir.Value | None:
    element_type = op.result_element_type
    value = cast(op.tensor(0), element_type)
    for index, op_class in ((1, graph.MaximumOp), (2, graph.MinimumOp)):
        bound = None if op.is_none(index) else op.broadcastable(index, element_type)
        value = value if bound is None else op_class.build(value, bound)
    return value


@converts("torch.aten.relu6")
def build_relu6(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    element_type = element_type_of(value)
    return graph.MinimumOp.build(graph.MaximumOp.build(value, scalar(0, element_type)), scalar(6, element_type))


@converts("torch.aten.leaky_relu")
def build_leaky_relu(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    slope = op.broadcastable(1, element_type_of(value))
    positive = graph.CompareOp.build(value, scalar(0, element_type_of(value)), predicate="gt")
    return graph.SelectOp.build(positive, value, graph.MulOp.build(value, slope))


@converts("torch.aten.elu")
def build_elu(op: TorchOp) -> ir.Value | None:
    """scale * x where x > 0, else scale * alpha * expm1(input_scale * x)."""
    alpha, scale, input_scale = (op.number(index) for index in (1, 2, 3))
    if alpha is None or scale is None or input_scale is None:
        return None
    value = op.tensor(0)
    element_type = element_type_of(value)
    negative = times(graph.Expm1Op.build(times(value, input_scale)), alpha * scale)
    positive = graph.CompareOp.build(value, scalar(0, element_type), predicate="gt")
    return graph.SelectOp.build(positive, times(value, scale), negative)


def times(value: ir.Value, factor: float) -> ir.Value:
    """`value * factor`; nothing is computed for a factor of 1."""
    return value if factor == 1 else graph.MulOp.build(value, scalar(factor, element_type_of(value)))


# ---------------------------------------------------------------------------------------------------------------------
# Two operands
# ---------------------------------------------------------------------------------------------------------------------


def binary(op_class: type[graph.TensorOp]) -> Builder:
    """The builder of an op on two operands, both cast to the type of the result, as PyTorch promotes them."""

    def build(op: TorchOp) -> ir.Value | None:
        element_type = op.result_element_type
        lhs, rhs = op.broadcastable(0, element_type), op.broadcastable(1, element_type)
        if lhs is None or rhs is None:
            return None
        return op_class.build(lhs, rhs, result_type=op.result_type)

    return build


BUILDERS.update(
    {
        "torch.aten.mul.Tensor": binary(graph.MulOp),
        "torch.aten.mul.Scalar": binary(graph.MulOp),
        "torch.aten.div.Tensor": binary(graph.DivOp),
        "torch.aten.div.Scalar": binary(graph.DivOp),
        "torch.aten.maximum": binary(graph.MaximumOp),
        "torch.aten.max.other": binary(graph.MaximumOp),
        "torch.aten.copysign.Tensor": binary(graph.CopysignOp),
        "torch.aten.minimum": binary(graph.MinimumOp),
        "torch.aten.min.other": binary(graph.MinimumOp),
    }
)


def scaled_sum(op_class: type[graph.TensorOp], reverse: bool) -> Builder:
    """The builder of `self + alpha * other` and its kin; with `reverse`, `other - alpha * self`."""

    def build(op: TorchOp) -> ir.Value | None:
        element_type, alpha = op.result_element_type, op.number(2)
        lhs, rhs = op.broadcastable(0, element_type), op.broadcastable(1, element_type)
        if lhs is None or rhs is None or alpha is None or (is_bool(element_type) and alpha != 1):
            return None
        if reverse:
            lhs, rhs = rhs, lhs
        return op_class.build(lhs, times(rhs, alpha), result_type=op.result_type)

    return build


BUILDERS.update(
    {
        "torch.aten.add.Tensor": scaled_sum(graph.AddOp, reverse=False),
        "torch.aten.add.Scalar": scaled_sum(graph.AddOp, reverse=False),
        "torch.aten.sub.Tensor": scaled_sum(graph.SubOp, reverse=False),
        "torch.aten.sub.Scalar": scaled_sum(graph.SubOp, reverse=False),
        "torch.aten.rsub.Scalar": scaled_sum(graph.SubOp, reverse=True),
        "torch.aten.rsub.Tensor": scaled_sum(graph.SubOp, reverse=True),
    }
)


@converts("torch.aten.pow.Tensor_Scalar")
def build_power(op: TorchOp) -> ir.Value | None:
    """Small powers become products and roots, which are faster than `pow` and no less exact."""
    element_type, exponent = op.result_element_type, op.number(1)
    if exponent is None or is_bool(element_type):
        return None
    value = cast(op.tensor(0), element_type)
    if not is_float(element_type):
        return integer_power(value, int(exponent))
    if exponent in SMALL_POWERS:
        return SMALL_POWERS[exponent](value)
    return graph.PowOp.build(value, scalar(exponent, element_type))


SMALL_POWERS: dict[float, Callable[[ir.Value], ir.Value]] = {
    -1: lambda x: graph.DivOp.build(scalar(1, element_type_of(x)), x),
    -0.5: graph.RsqrtOp.build,
    0.5: graph.SqrtOp.build,
    1: lambda x: x,
    2: lambda x: graph.MulOp.build(x, x),
    3: lambda x: graph.MulOp.build(graph.MulOp.build(x, x), x),
}


@converts("torch.aten.pow.Tensor_Tensor", "torch.aten.pow.Scalar")
def build_general_power(op: TorchOp) -> ir.Value | None:
    element_type = op.result_element_type
    if is_bool(element_type):
        return None
    if not is_float(element_type):
        return integer_power(op.broadcastable(0, element_type), op.broadcastable(1, element_type))
    return graph.PowOp.build(op.broadcastable(0, element_type), op.broadcastable(1, element_type))


# ---------------------------------------------------------------------------------------------------------------------
# Truth values
# ---------------------------------------------------------------------------------------------------------------------


def comparison(predicate: str) -> Builder:
    """The builder of a comparison; both operands are cast to the type that PyTorch compares in."""

    def build(op: TorchOp) -> ir.Value | None:
        element_type = compared_type(op)
        if element_type is None:
            return None
        lhs, rhs = op.broadcastable(0, element_type), op.broadcastable(1, element_type)
        return graph.CompareOp.build(lhs, rhs, predicate=predicate, result_type=op.result_type)

    return build


BUILDERS.update(
    {
        f"torch.aten.{predicate}.{kind}": comparison(predicate)
        for predicate in ("eq", "ne", "lt", "le", "gt", "ge")
        for kind in ("Tensor", "Scalar")
    }
)


def compared_type(op: TorchOp) -> ir.Type | None:
    """The element type in which PyTorch compares operands 0 and 1; None where its rule is beyond these cases."""
    left = element_type_of(op.tensor(0))
    if not op.is_tensor(1):
        return compared_with_number(left, op.number(1))
    right = element_type_of(op.tensor(1))
    ranks = category(left), category(right)
    if ranks[0] != ranks[1]:
        return left if ranks[0] > ranks[1] else right
    # Within a category a tensor of rank 0 adapts to the other one.
    is_scalar = [not shape_of(op.tensor(index)) for index in (0, 1)]
    if is_scalar[0] != is_scalar[1]:
        return right if is_scalar[0] else left
    if left != right and left.width == right.width:
        return None
    return left if left.width >= right.width else right


def compared_with_number(type_: ir.Type, number: Number | None) -> ir.Type | None:
    """The element type in which PyTorch compares a tensor of `type_` with a Python number (None: not constant)."""
    if is_float(type_):
        return type_
    if isinstance(number, float):
        return ir.F32Type.get() if math.isfinite(number) else None
    if is_bool(type_) and not isinstance(number, bool):
        return ir.IntegerType.get_signless(64)
    return None if number is None else type_


def category(type_: ir.Type) -> int:
    """PyTorch's order of promotion: truth values, integers, floating point."""
    return 2 if is_float(type_) else 0 if is_bool(type_) else 1


def bitwise(op_class: type[graph.TensorOp], is_logical: bool) -> Builder:
    """The builder of and, or and xor: on the bits of integers, or (`is_logical`) on whether operands are zero."""

    def build(op: TorchOp) -> ir.Value | None:
        element_type = ir.IntegerType.get_signless(1) if is_logical else op.result_element_type
        lhs, rhs = op.broadcastable(0, element_type), op.broadcastable(1, element_type)
        return None if lhs is None or rhs is None else op_class.build(lhs, rhs)

    return build


for _name, _op in {"and": graph.BitwiseAndOp, "or": graph.BitwiseOrOp, "xor": graph.BitwiseXorOp}.items():
    BUILDERS[f"torch.aten.logical_{_name}"] = bitwise(_op, is_logical=True)
    BUILDERS[f"torch.aten.bitwise_{_name}.Tensor"] = bitwise(_op, is_logical=False)
    BUILDERS[f"torch.aten.bitwise_{_name}.Scalar"] = bitwise(_op, is_logical=False)


@converts(
    "torch.aten.where.self",
    "torch.aten.where.ScalarSelf",
    "torch.aten.where.ScalarOther",
    "torch.aten.where.Scalar",
)
def build_where(op: TorchOp) -> ir.Value | None:
    element_type = op.result_element_type
    on_true, on_false = op.broadcastable(1, element_type), op.broadcastable(2, element_type)
    if not is_bool(element_type_of(op.tensor(0))) or on_true is None or on_false is None:
        return None
    return graph.SelectOp.build(op.tensor(0), on_true, on_false)


@converts("torch.aten.masked_fill.Scalar", "torch.aten.masked_fill.Tensor")
def build_masked_fill(op: TorchOp) -> ir.Value | None:
    filling = op.broadcastable(2, op.result_element_type)
    return None if filling is None else graph.SelectOp.build(op.tensor(1), filling, op.tensor(0))
