"""The rule of each op: from what its operands are in i8 to its result in i8. What has no rule stays in float."""

from __future__ import annotations

import math

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of, to_attribute
from terrace.dialects.graph import MulOp, QuantizeOp, ReluOp, ScaledAddOp, SumPool2dOp
from terrace.dialects.graph_quantized import MAX_SUM_MULTIPLIER
from terrace.lowering.graph.builders import along_axis, reshape, splat_value
from terrace.lowering.quantization.accumulator_chains import CHAIN_ROOTS, Chain, chain_of, channel_axis, is_weight
from terrace.lowering.quantization.quantizer import (
    QUANTIZATION,
    Quantized,
    Quantizer,
    add_channels,
    are_float_tensors,
    finish_chain,
    rebuilt,
    widen,
)
from terrace.lowering.quantization.ranges import range_of, ranged
from terrace.lowering.quantization.scales import (
    MAX_TERMS,
    f32_splat,
    fixed_point_of,
    quantize_weight,
    weight_scale,
    with_integers,
)
from terrace.mlir import DYNAMIC, func, ir

# ---------------------------------------------------------------------------------------------------------------------
# Contractions
# ---------------------------------------------------------------------------------------------------------------------


@QUANTIZATION.add(graph.BatchMatmulOp, graph.Conv2dOp, graph.MatmulOp)
def contraction(q: Quantizer, root: ir.Operation) -> None:
    """Sums of products in i32, the bias added to them, then one requantisation, and the ReLU on i8."""
    chain = chain_of(root, q.constant)
    terms = type(root.opview).terms([shape_of(v) for v in root.operands], attributes_of(root))
    if terms == DYNAMIC or terms > MAX_TERMS:
        q.leave(chain)  # An i32 might not hold the sums.
        return
    lhs = q.quantized(root.operands[0], root)
    scale = q.scale(chain.result, root)
    with ir.InsertionPoint(chain.operations[-1]), root.location:
        if is_weight(root.operands[1], q.constant):
            result = _by_weight(q, chain, lhs, scale)
        else:
            rhs = q.quantized(root.operands[1], root)
            sums = rebuilt(root, [lhs.value, rhs.value], 32)
            result = q.requantized(sums, lhs.scale * rhs.scale * chain.factor / scale, chain.is_relu)
    q.record_chain(chain, Quantized(result, scale))


def _weight_axis(root: ir.Operation) -> int:
    """The dimension of a contraction's weight that output channels run along."""
    if root.name == "graph.conv2d":
        return 0
    rank = len(shape_of(root.operands[1]))
    return rank - 2 if attributes_of(root).transpose_rhs else rank - 1


def _by_weight(q: Quantizer, chain: Chain, lhs: Quantized, scale: float) -> ir.Value:
    root = chain.root
    weight, axis, rank = root.operands[1], _weight_axis(root), len(shape_of(root.results[0]))
    bias = None if chain.bias is None else _flat(chain.bias)
    scales = weight_scale(weight, axis, bias, lhs.scale)
    sums = rebuilt(root, [lhs.value, quantize_weight(weight, axis, scales)], 32)

    def along_channels(vector: ir.Value) -> ir.Value:
        return along_axis(vector, channel_axis(root), rank)

    if bias is not None:
        unit = MulOp.build(scales, f32_splat(lhs.scale))
        sums = add_channels(sums, along_channels(QuantizeOp.build(bias, unit, result_type=with_integers(bias, 32))))
    factor = MulOp.build(scales, f32_splat(lhs.scale * chain.factor / scale))
    multiplier, shift = fixed_point_of(factor, q.multiplier_bits)
    return finish_chain(sums, along_channels(multiplier), along_channels(shift), chain.is_relu)


def _flat(bias: ir.Value) -> ir.Value:
    """A bias as [channels], without the dimensions of size 1 around them."""
    shape = shape_of(bias)
    axis = max(range(len(shape)), key=lambda i: shape[i])
    return reshape(bias, [axis])


# ---------------------------------------------------------------------------------------------------------------------
# Elementwise
# ---------------------------------------------------------------------------------------------------------------------

MAX_SUM_SHIFT = 30
"""The most fractional bits of the multipliers of a sum."""


@QUANTIZATION.add(graph.AddOp, graph.SubOp)
def addition(q: Quantizer, root: ir.Operation) -> None:
    """Each term times its own multiplier, in i32, then one shift for the sum."""
    chain = chain_of(root, q.constant)
    terms = [q.quantized(value, root) for value in root.operands]
    scale = q.scale(chain.result, root)
    ratios = [term.scale / scale for term in terms]
    shift = MAX_SUM_SHIFT
    while shift > 1 and max(ratios) * 2.0**shift > MAX_SUM_MULTIPLIER:
        shift -= 1
    left, right = (min(round(ratio * 2.0**shift), MAX_SUM_MULTIPLIER) for ratio in ratios)
    with ir.InsertionPoint(chain.operations[-1]), root.location:
        result = ScaledAddOp.build(
            *(term.value for term in terms),
            lhs_multiplier=left,
            rhs_multiplier=-right if root.name == "graph.sub" else right,
            shift=shift,
        )
        result = ReluOp.build(result) if chain.is_relu else result
    q.record_chain(chain, Quantized(result, scale))


@QUANTIZATION.add(graph.MulOp)
def product(q: Quantizer, root: ir.Operation) -> None:
    """A tensor times a positive number has another scale; of two tensors the integers are multiplied."""
    for value, other in (root.operands, reversed(list(root.operands))):
        number = splat_value(other)
        if number is not None:
            known = q.known(value)
            if known is not None and 0 < number < float("inf"):
                q.record(root.results[0], Quantized(known.value, known.scale * number))
            return
    left, right = (q.quantized(value, root) for value in root.operands)
    scale = q.scale(root.results[0], root)
    with ir.InsertionPoint(root), root.location:
        sums = MulOp.build(widen(left.value), widen(right.value), result_type=with_integers(root.results[0], 32))
        result = q.requantized(sums, left.scale * right.scale / scale)
    q.record(root.results[0], Quantized(result, scale))


# ---------------------------------------------------------------------------------------------------------------------
# Pools and reductions
# ---------------------------------------------------------------------------------------------------------------------


@QUANTIZATION.add(graph.AvgPool2dOp)
def average_pool(q: Quantizer, root: ir.Operation) -> None:
    """The sum of each window, requantised by its constant number of elements; one that varies stays in float."""
    attrs = attributes_of(root)
    if attrs.ceil_mode or (any(attrs.padding) and not attrs.count_include_pad):
        return
    source, scale = q.quantized(root.operands[0], root), q.scale(root.results[0], root)
    kept = ("kernel", "strides", "padding", "dilations", "ceil_mode", "layout")
    with ir.InsertionPoint(root), root.location:
        sums = SumPool2dOp.build(source.value, **{name: getattr(attrs, name) for name in kept})
        result = q.requantized(sums, source.scale / (scale * math.prod(attrs.kernel)))
    q.record(root.results[0], Quantized(result, scale))


MAX_SUMMED = 1 << 24
"""Fewer elements of i8 than these have a sum that an i32 always holds."""


@QUANTIZATION.add(graph.ReduceOp)
def reduction(q: Quantizer, root: ir.Operation) -> None:
    """Sums and means in i32, requantised; the largest element is that of the integers. Other kinds stay in float."""
    attrs = attributes_of(root)
    sizes = [shape_of(root.operands[0])[axis] for axis in attrs.axes]
    count = DYNAMIC if DYNAMIC in sizes else math.prod(sizes)
    if attrs.kind == "max":
        keep_scale(q, root)
    if attrs.kind not in ("mean", "sum") or not 0 < count < MAX_SUMMED:
        return
    source, scale = q.quantized(root.operands[0], root), q.scale(root.results[0], root)
    with ir.InsertionPoint(root), root.location:
        sums = rebuilt(root, [source.value], 32)
        sums.owner.attributes["kind"] = to_attribute("sum")
        result = q.requantized(sums, source.scale / (scale * (count if attrs.kind == "mean" else 1)))
    q.record(root.results[0], Quantized(result, scale))


@QUANTIZATION.add(graph.MaxPool2dOp, graph.PermuteOp, graph.ReluOp, graph.ReshapeOp, graph.SliceOp)
def keep_scale(q: Quantizer, root: ir.Operation) -> None:
    """Layout, ReLU and max-pooling of what is int8 already; floats wait until someone needs them in int8."""
    known = q.known(root.operands[0])
    if known is not None:
        q.keep_scale(root, known)


def quantize_function(function: func.FuncOp, multiplier_bits: int) -> None:
    """Rewrite what has a rule to int8, in place; the float ops that it replaces are left without uses."""
    q = Quantizer(function, multiplier_bits)
    for operation in [view.operation for view in function.entry_block.operations]:
        rule = QUANTIZATION.get(operation)
        if rule is None or operation.results[0] in q.constant or not are_float_tensors(operation):
            continue
        if operation.results[0] in q.inner or q.known(operation.results[0]) is not None:
            continue
        chain = chain_of(operation, q.constant) if operation.name in CHAIN_ROOTS else Chain((operation,))
        if any(range_of(ranged(value, q.constant)) == math.inf for value in (*operation.operands, chain.result)):
            q.leave(chain)  # A mask of infinities: scores below it are no numbers, either.
            continue
        rule(q, operation)
    q.finish()
