"""Batch normalisation at inference is one multiply and one add per channel: fold it into what is before it.

    batch_norm(x) = x * k + (shift - mean * k),   k = scale * rsqrt(variance + epsilon)

After a convolution or matmul whose weight is constant, k scales the weight's output channels and the rest becomes the
bias. Anywhere else the two elementwise ops stay, with k and the shift computed from the statistics alone. All of it is
graph ops over loads, which `hoist-constants` makes constant expressions; the evaluator rounds them once.

In half precisions the weight stays as it is, since times k it would be rounded once more: the sum, the product with k
and the addition are f32, and the result is rounded.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph import (
    AddOp,
    Conv2dOp,
    MatmulOp,
    MulOp,
    RsqrtOp,
    SubOp,
    image_axes,
)
from terrace.lowering.graph.builders import along_axis, convert, reshape, splat, users_of
from terrace.lowering.graph.constant_expressions import is_constant_expression
from terrace.lowering.graph.payload_types import compute_type
from terrace.mlir import ir, operation_of
from terrace.passes import Pass
from terrace.rewriting import Pattern, apply_patterns, replace


class FoldIntoConv2d(Pattern):
    """batch_norm(conv2d(x, w) + b) becomes conv2d(x, w * k) + ((b - mean) * k + shift)."""

    op_name = "graph.batch_norm"

    def rewrite(self, op: ir.OpView) -> bool:
        matched = _match_producer(op, "graph.conv2d")
        if matched is None:
            return False
        conv, bias = matched
        axis = attributes_of(op).axis
        attrs = attributes_of(conv)
        if axis != image_axes(attrs.layout)[0]:
            return False
        factor, shift = _factor_and_shift(op, bias)
        with _location_of_all(conv, op):
            value = Conv2dOp.build(
                conv.operands[0],
                _scale_weight(conv.operands[1], factor, 0),
                result_type=_wide(conv.results[0]),
                strides=attrs.strides,
                padding=attrs.padding,
                dilations=attrs.dilations,
                groups=attrs.groups,
                layout=attrs.layout,
            )
        return replace(op, _finish(value, factor, shift, op))


class FoldIntoMatmul(Pattern):
    """batch_norm(matmul(x, w) + b), along the last dimension, becomes matmul(x, w * k) + ((b - mean) * k + shift)."""

    op_name = "graph.batch_norm"

    def rewrite(self, op: ir.OpView) -> bool:
        matched = _match_producer(op, "graph.matmul")
        if matched is None or attributes_of(op).axis != len(shape_of(op.result)) - 1:
            return False
        matmul, bias = matched
        transposed = attributes_of(matmul).transpose_rhs
        factor, shift = _factor_and_shift(op, bias)
        weight = _scale_weight(matmul.operands[1], factor, 0 if transposed else 1)
        result_type = _wide(matmul.results[0])
        with _location_of_all(matmul, op):
            value = MatmulOp.build(matmul.operands[0], weight, transpose_rhs=transposed, result_type=result_type)
        return replace(op, _finish(value, factor, shift, op))


class DecomposeBatchNorm(Pattern):
    """Any other batch_norm(x) becomes x * k + (shift - mean * k)."""

    op_name = "graph.batch_norm"

    def rewrite(self, op: ir.OpView) -> bool:
        factor, shift = _factor_and_shift(op, None)
        value = convert(op.input, element_type_of(_wide(op.input)))
        return replace(op, _add_channels(_scale_channels(value, factor, op), shift, op))


def _match_producer(op: ir.OpView, name: str) -> tuple[ir.Operation, ir.Value | None] | None:
    """The `name` op of constant weight that alone feeds `op`, and the constant bias added in between, if any."""
    if not all(is_constant_expression(v) for v in (op.mean, op.variance, op.scale, op.shift)):
        return None
    producer, bias = _single_use_producer(op.input), None
    if producer is not None and producer.name == "graph.add":
        # Addition commutes: the bias may stand on either side.
        sides = [(producer.operands[0], producer.operands[1]), (producer.operands[1], producer.operands[0])]
        value, bias = next(
            (side for side in sides if _is_channel_constant(op, side[1])),
            (op.input, None),
        )
        producer = _single_use_producer(value)
    # Equal shapes, so that the addition of the bias did not stretch the producer's result.
    if producer is None or producer.name != name or shape_of(producer.results[0]) != shape_of(op.input):
        return None
    return (producer, bias) if is_constant_expression(producer.operands[1]) else None


def _location_of_all(producer: ir.Operation, op: ir.OpView) -> ir.Location:
    """Where the producer, the addition of a bias after it, and `op` come from."""
    added = operation_of(op.input)
    assert added is not None
    return ir.Location.fused([producer.location, added.location, op.location])


def _single_use_producer(value: ir.Value) -> ir.Operation | None:
    return operation_of(value) if len(users_of(value)) == 1 else None


def _bias_axis(op: ir.OpView, bias: ir.Value) -> int:
    """The dimension of `bias` that is broadcast along the channels of `op`; negative when it has none such."""
    return attributes_of(op).axis - (len(shape_of(op.input)) - len(shape_of(bias)))


def _is_channel_constant(op: ir.OpView, bias: ir.Value) -> bool:
    """Whether `bias` is constant and varies along the channels of `op` only."""
    axis = _bias_axis(op, bias)
    return is_constant_expression(bias) and all(size == 1 for i, size in enumerate(shape_of(bias)) if i != axis)


def _factor_and_shift(op: ir.OpView, bias: ir.Value | None) -> tuple[ir.Value, ir.Value]:
    """k and (bias - mean) * k + shift, one element per channel, in the type that the statistics are computed in."""
    statistics = element_type_of(_wide(op.variance))
    mean, variance, scale, shift = (convert(v, statistics) for v in (op.mean, op.variance, op.scale, op.shift))
    epsilon = splat(attributes_of(op).epsilon, statistics)
    factor = MulOp.build(scale, RsqrtOp.build(AddOp.build(variance, epsilon)))
    if bias is None:
        return factor, SubOp.build(shift, MulOp.build(mean, factor))
    axis = _bias_axis(op, bias)
    channels = convert(reshape(bias, [axis if axis >= 0 else None]), statistics)
    return factor, AddOp.build(MulOp.build(SubOp.build(channels, mean), factor), shift)


def _scale_weight(weight: ir.Value, factor: ir.Value, axis: int) -> ir.Value:
    """`weight` times `factor` along `axis`; in half precisions itself, see `_finish`."""
    if _is_stored(weight):
        return weight
    product = MulOp.build(convert(weight, element_type_of(factor)), along_axis(factor, axis, len(shape_of(weight))))
    return convert(product, element_type_of(weight))


def _wide(value: ir.Value) -> ir.Type:
    """The type of `value` with the element type that it is computed in."""
    return ir.RankedTensorType.get(shape_of(value), compute_type(element_type_of(value)))


def _is_stored(value: ir.Value) -> bool:
    """Whether the element type of `value` is for storage alone: a half precision."""
    return _wide(value) != value.type


def _finish(value: ir.Value, factor: ir.Value, shift: ir.Value, op: ir.OpView) -> ir.Value:
    """What a contraction, whose weight was scaled unless it is of a half precision, lacks to be `op`."""
    scaled = _scale_channels(value, factor, op) if _is_stored(op.result) else value
    return _add_channels(scaled, shift, op)


def _scale_channels(value: ir.Value, factor: ir.Value, op: ir.OpView) -> ir.Value:
    """`value` times `factor`, the latter along the channels of `op`."""
    return MulOp.build(value, _channels(factor, value, op), result_type=value.type)


def _add_channels(value: ir.Value, shift: ir.Value, op: ir.OpView) -> ir.Value:
    """`value` + `shift`, the latter along the channels of `op`, as the result of `op`."""
    total = AddOp.build(value, _channels(shift, value, op), result_type=_wide(op.result))
    return convert(total, element_type_of(op.result))


def _channels(vector: ir.Value, value: ir.Value, op: ir.OpView) -> ir.Value:
    return along_axis(convert(vector, element_type_of(value)), attributes_of(op).axis, len(shape_of(value)))


@dataclasses.dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Fold batch normalisation into constant weights and biases, or into one multiply and one add."""

    name = "fold-batch-norm"

    def run(self, module: ir.Operation) -> None:
        # In order: the patterns for an op are tried from the first.
        apply_patterns(module, [FoldIntoConv2d(), FoldIntoMatmul(), DecomposeBatchNorm()])
