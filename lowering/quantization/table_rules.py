"""The rules of softmax, layer norm and functions of one number, whose tables are made here from the scales."""

from __future__ import annotations

import math

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of
from terrace.dialects.graph import (
    AbsOp,
    AddOp,
    DivOp,
    IntegerLayerNormOp,
    IntegerSoftmaxOp,
    LookupOp,
    MaximumOp,
    MulOp,
    ReduceOp,
    RequantizeOp,
    SelectOp,
)
from terrace.dialects.graph_elementwise import CompareOp
from terrace.dialects.graph_quantized import MAX_NORM_LENGTH, MAX_SOFTMAX_LENGTH
from terrace.lowering.graph.evaluation.rules import unary
from terrace.lowering.quantization.accumulator_chains import is_weight
from terrace.lowering.quantization.quantizer import QUANTIZATION, Quantized, Quantizer
from terrace.lowering.quantization.scales import f32_splat, fixed_point_of, round_to, with_integers
from terrace.mlir import DYNAMIC, ir

SOFTMAX_SCALE = 1 / 127
"""The scale of every softmax, whose results are at most 1."""

NORM_SCALE = 2.0**-10
"""The scale of `graph.integer_layer_norm`."""

MAX_FACTOR = 2.0**13 - 1
MAX_OFFSET = 2.0**29
"""The largest factor and offset of a layer norm: with rows of 4096, whose normal is at most 2^16, they stay in i32."""


@QUANTIZATION.add(graph.SoftmaxOp)
def softmax(q: Quantizer, root: ir.Operation) -> None:
    """The exponentials of all differences from the largest are a table."""
    axis = attributes_of(root).axis
    shape = shape_of(root.results[0])
    if axis != len(shape) - 1 or not 0 < shape[axis] <= MAX_SOFTMAX_LENGTH:
        return
    source = q.quantized(root.operands[0], root)
    powers = [round(2**16 * math.exp(-source.scale * (255 - i))) for i in range(256)]
    table = ir.DenseElementsAttr.get(np.array(powers, np.int32))
    with ir.InsertionPoint(root), root.location:
        result = IntegerSoftmaxOp.build(source.value, axis=axis, table=table)
    q.record(root.results[0], Quantized(result, float(np.float32(SOFTMAX_SCALE))))


@QUANTIZATION.add(graph.LayerNormOp)
def layer_norm(q: Quantizer, root: ir.Operation) -> None:
    """The normal in integers, then scale and shift as integers of one scale, then a requantisation."""
    value, factor, offset = root.operands
    row = shape_of(factor)
    count = 0 if DYNAMIC in row else math.prod(row)
    if not 0 < count <= MAX_NORM_LENGTH or not all(is_weight(v, q.constant) for v in (factor, offset)):
        return
    source, scale = q.quantized(value, root), q.scale(root.results[0], root)
    epsilon = min(round(attributes_of(root).epsilon * (count / source.scale) ** 2), 2**44)
    with ir.InsertionPoint(root), root.location:
        normal = IntegerLayerNormOp.build(source.value, dims=len(row), epsilon=epsilon)
        unit = _affine_scale(factor, offset)
        scaled = MulOp.build(normal, round_to(factor, unit, 32))
        shifted = AddOp.build(scaled, round_to(offset, MulOp.build(unit, f32_splat(NORM_SCALE)), 32))
        multiplier, shift = fixed_point_of(MulOp.build(unit, f32_splat(NORM_SCALE / scale)), q.multiplier_bits)
        result = RequantizeOp.build(shifted, multiplier, shift, result_type=with_integers(root.results[0], 8))
    q.record(root.results[0], Quantized(result, scale))


def _affine_scale(factor: ir.Value, offset: ir.Value) -> ir.Value:
    """The scale of a layer norm's factors, a constant expression of rank 0; larger where the offsets would not fit."""
    largest = [
        ReduceOp.build(AbsOp.build(v), kind="max", axes=list(range(len(shape_of(v)))), keepdims=False)
        for v in (factor, offset)
    ]
    limits = (f32_splat(MAX_FACTOR), f32_splat(MAX_OFFSET * NORM_SCALE))
    scale = MaximumOp.build(*(DivOp.build(v, limit) for v, limit in zip(largest, limits, strict=True)))
    is_zero = CompareOp.build(scale, f32_splat(0.0), predicate="eq")
    return SelectOp.build(is_zero, f32_splat(1.0), scale, result_type=scale.type)


@QUANTIZATION.add(
    *(graph.CosOp, graph.ErfOp, graph.ExpOp, graph.Expm1Op, graph.GeluOp, graph.HardsigmoidOp, graph.HardswishOp),
    *(graph.SigmoidOp, graph.SiluOp, graph.SinOp, graph.TanhOp),
)
def function(q: Quantizer, root: ir.Operation) -> None:
    """The results for all 256 integers are a table, made in float64: such functions change slowly enough for that."""
    source, scale = q.quantized(root.operands[0], root), q.scale(root.results[0], root)
    results = unary(root, np.arange(-128, 128) * source.scale) / scale
    table = ir.DenseElementsAttr.get(np.clip(np.rint(results), -128, 127).astype(np.int8))
    with ir.InsertionPoint(root), root.location:
        result = LookupOp.build(source.value, table=table)
    q.record(root.results[0], Quantized(result, scale))
