"""Attention as two batched matmuls around a softmax, each of which has a generator.

The scale stays on the scores: there it fuses into the first matmul's epilogue together with the mask and costs no
memory traffic, while scaling the query is one more kernel. In f16 alone it goes to the query: scores that are
scaled too late may exceed 65504.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph import AddOp, BatchMatmulOp, MulOp, SoftmaxOp
from terrace.lowering.graph.builders import size_of, splat
from terrace.mlir import DYNAMIC, arith, ir, linalg, tensor
from terrace.origins import renamed
from terrace.passes import Pass
from terrace.rewriting import Pattern, apply_patterns, replace


class DecomposeAttentionOp(Pattern):
    """attention(q, k, v, mask) becomes batch_matmul(softmax(batch_matmul(q, k^T) * scale + mask), v)."""

    op_name = "graph.attention"

    def rewrite(self, op: ir.OpView) -> bool:
        query, key, value, *masks = op.operation.operands
        attrs = attributes_of(op)
        element_type = element_type_of(query)
        scale = splat(attrs.scale, element_type)
        scale_query = isinstance(element_type, ir.F16Type)
        if attrs.scale != 1.0 and scale_query:
            query = MulOp.build(query, scale)
        scores = BatchMatmulOp.build(query, key, transpose_rhs=True)
        if attrs.scale != 1.0 and not scale_query:
            scores = MulOp.build(scores, scale)
        for mask in masks:
            scores = AddOp.build(scores, mask, result_type=scores.type)
        if attrs.is_causal:
            with renamed(op.location, "causal_mask"):
                mask = _causal_mask(query, key)
            scores = AddOp.build(scores, mask, result_type=scores.type)
        weights = SoftmaxOp.build(scores, axis=len(shape_of(scores)) - 1)
        result = BatchMatmulOp.build(weights, value, transpose_rhs=False, result_type=op.result.type)
        return replace(op, result)


def _causal_mask(query: ir.Value, key: ir.Value) -> ir.Value:
    """The [l, s] tensor that is 0 at columns up to the row's number and -inf after.

    Computed by a linalg op from its indices, for any size; as a constant it would take l * s elements in the text.
    """
    element_type = element_type_of(query)
    # From the operands, not from the scores: the mask has to be there before them to fuse into their epilogue.
    sizes = [_length(value) for value in (query, key)]
    shape = [size if isinstance(size, int) else DYNAMIC for size in sizes]
    identity = ir.AffineMap.get_identity(2)
    parallel = ir.Attribute.parse("#linalg.iterator_type<parallel>")
    mask = linalg.GenericOp(
        result_tensors=[ir.RankedTensorType.get(shape, element_type)],
        inputs=[],
        outputs=[tensor.EmptyOp(sizes, element_type).result],
        indexing_maps=ir.ArrayAttr.get([ir.AffineMapAttr.get(identity)]),
        iterator_types=ir.ArrayAttr.get([parallel, parallel]),
    )
    with ir.InsertionPoint(mask.regions[0].blocks.append(element_type)):
        row, column = (linalg.IndexOp(axis).result for axis in range(2))
        zero, minus_infinity = (
            arith.ConstantOp(element_type, ir.FloatAttr.get(element_type, number)).result
            for number in (0.0, float("-inf"))
        )
        visible = arith.CmpIOp(arith.CmpIPredicate.ule, column, row).result
        linalg.YieldOp([arith.SelectOp(visible, zero, minus_infinity).result])
    return mask.results[0]


def _length(value: ir.Value) -> ir.Value | int:
    """The size of the last dimension but one."""
    axis = len(shape_of(value)) - 2
    size = shape_of(value)[axis]
    return size_of(value, axis) if size == DYNAMIC else size


@dataclasses.dataclass(frozen=True)
class DecomposeAttention(Pass):
    """Decompose attention into batched matmuls and a softmax."""

    name = "decompose-attention"

    def run(self, module: ir.Operation) -> None:
        apply_patterns(module, [DecomposeAttentionOp()])
