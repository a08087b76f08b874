"""Attention as two batched matmuls around a softmax, each of which has a generator, where no family takes it whole.

The scale stays on the scores: there it fuses into the first matmul's epilogue together with the mask and costs no
memory traffic, while scaling the query is one more kernel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from terrace.dialects.base import Attributes, attributes_of, element_type_of, shape_of
from terrace.dialects.graph import AddOp, AttentionOp, BatchMatmulOp, MulOp, SoftmaxOp
from terrace.dialects.graph_contraction import RESULT
from terrace.lowering.graph.builders import convert, move_heads, repeat_heads, size_of, splat
from terrace.lowering.graph.payload_types import compute_type
from terrace.lowering.kernels.families import refusal
from terrace.lowering.kernels.group import KERNEL_TYPES, Group
from terrace.mlir import DYNAMIC, arith, ir, linalg, tensor
from terrace.origins import renamed
from terrace.passes import Pass
from terrace.rewriting import Pattern, apply_patterns, replace


@dataclasses.dataclass(frozen=True)
class DecomposeAttentionOp(Pattern):
    """attention(q, k, v, mask) becomes batch_matmul(softmax(batch_matmul(q, k^T) * scale + mask), v).

    The scores of half precisions stay in f32: rounded, they would be off by more than eager's, and f16 overflows.
    """

    op_name = "graph.attention"
    keeps: Callable[[ir.Operation], bool]

    def rewrite(self, op: ir.OpView) -> bool:
        if self.keeps(op.operation):
            return False
        attrs, inner = attributes_of(op), AttentionOp.inner_heads(attributes_of(op))
        tensors, masks = list(op.operation.operands)[:3], list(op.operation.operands)[3:]
        query, key, value = (move_heads(x) if number in inner else x for number, x in enumerate(tensors))
        element_type = element_type_of(query)
        heads = shape_of(query)[-3]
        if heads != DYNAMIC:
            key, value = repeat_heads(key, heads), repeat_heads(value, heads)
        wide = compute_type(element_type)
        scale = splat(attrs.scale, wide)
        shape = BatchMatmulOp.infer([shape_of(query), shape_of(key)], Attributes({"transpose_rhs": True}))
        type_ = ir.RankedTensorType.get(shape, wide)
        scores = BatchMatmulOp.build(query, key, transpose_rhs=True, result_type=type_)
        if attrs.scale != 1.0:
            scores = MulOp.build(scores, scale)
        for mask in masks:
            scores = AddOp.build(scores, convert(mask, wide), result_type=type_)
        if attrs.is_causal:
            with renamed(op.location, "causal_mask"):
                mask = _causal_mask(query, key, wide)
            scores = AddOp.build(scores, mask, result_type=type_)
        weights = convert(SoftmaxOp.build(scores, axis=len(shape_of(scores)) - 1), element_type)
        if RESULT in inner:
            result = BatchMatmulOp.build(weights, value, transpose_rhs=False)
            return replace(op, move_heads(result, op.result.type))
        result = BatchMatmulOp.build(weights, value, transpose_rhs=False, result_type=op.result.type)
        return replace(op, result)


def _causal_mask(query: ir.Value, key: ir.Value, element_type: ir.Type) -> ir.Value:
    """The [l, s] tensor that is 0 at columns up to the row's number and -inf after.

    Computed by a linalg op from its indices, for any size; as a constant it would take l * s elements in the text.
    """
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
    """Decompose attention into batched matmuls and a softmax, except what one of `generators` takes as it is.

    `element_types` are those that the target's kernels compute with, `reduced_types` those that its reductions take
    beside f32.
    """

    name = "decompose-attention"
    generators: tuple[str, ...] = ()
    element_types: tuple[str, ...] = KERNEL_TYPES
    reduced_types: tuple[str, ...] = ()

    def run(self, module: ir.Operation) -> None:
        apply_patterns(module, [DecomposeAttentionOp(self._is_taken)])

    def _is_taken(self, operation: ir.Operation) -> bool:
        group = Group.of(operation)
        reason = group.type_refusal(self.element_types)
        return not (reason or refusal(group, self.generators, self.reduced_types))
