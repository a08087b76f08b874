"""matmul, batch_matmul and attention as contractions, in linalg.generic form, accumulated in f32 for half precision."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph import AttentionOp
from terrace.dialects.graph_contraction import RESULT, heads_moved
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.normalization import softmax
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph import payload
from terrace.mlir import arith, ir, linalg
from terrace.rewriting import Pattern


def multiply_add(left: ir.Value, right: ir.Value, accumulator: ir.Value) -> ir.Value:
    """accumulator + left * right, in the accumulator's type."""
    type_ = accumulator.type
    left, right = payload.cast(left, type_), payload.cast(right, type_)
    if payload.is_float(type_):
        return arith.addf(accumulator, arith.mulf(left, right))
    return arith.addi(accumulator, arith.muli(left, right))


def contract(lhs: ir.Value, rhs: ir.Value, transpose_rhs: bool, element_type: ir.Type) -> ir.Value:
    """lhs[b..., m, k] * rhs[b..., k, n] (or [b..., n, k]) summed over k, as `element_type`, with 0 or 1 batch sizes."""
    rank = len(shape_of(lhs)) + 1
    *batch, m, n, k = b.dims(rank)
    *batch_sizes, rows, _ = b.sizes_of(lhs)
    columns = b.size_of(rhs, rank - 3 if transpose_rhs else rank - 2)
    output = b.filled([*batch_sizes, rows, columns], element_type, 0)
    maps = [[*batch, m, k], [*batch, n, k] if transpose_rhs else [*batch, k, n], [*batch, m, n]]
    return b.generic([lhs, rhs], output, maps, ["parallel"] * (rank - 1) + ["reduction"], multiply_add)


def contract_batches(lhs: ir.Value, rhs: ir.Value, transpose_rhs: bool, element_type: ir.Type) -> ir.Value:
    """`contract` for any number of batch sizes; several become one and come back, as IREE tunes only that form."""
    rank = len(shape_of(lhs))
    groups = b.groups_with(rank, 0, rank - 2)
    # A batch size that one operand knows is the other's, too; else the merged types could disagree.
    batch = b.known_sizes(shape_of(rhs)[: rank - 2], b.sizes_of(lhs)[: rank - 2])
    product = contract(b.collapse(lhs, groups), b.collapse(rhs, groups), transpose_rhs, element_type)
    return b.expand(product, groups, [*batch, *b.sizes_of(product)[1:]])


def matmul(op: ir.OpView, lhs: ir.Value, rhs: ir.Value) -> bool:
    """Ends a pattern: `op` is the product, whose leading sizes of lhs become the rows of one matmul."""
    element_type = element_type_of(op.operation.results[0])
    accumulator = payload.compute_type(element_type)
    rank = len(shape_of(lhs))
    groups = b.groups_with(rank, 0, rank - 1)
    product = contract(b.collapse(lhs, groups), rhs, attributes_of(op).transpose_rhs, accumulator)
    product = b.convert_elements(product, element_type)
    sizes = [*b.sizes_of(lhs)[:-1], b.size_of(product, 1)]
    return b.finish(op, b.expand(product, groups, sizes))


@reference_of(graph.MatmulOp)
class ConvertMatmul(Pattern):
    """Merges the leading sizes of lhs into the rows of one matmul."""

    def rewrite(self, op: ir.OpView) -> bool:
        return matmul(op, *op.operation.operands)


@reference_of(graph.BatchMatmulOp)
class ConvertBatchMatmul(Pattern):
    """Converts a matmul for each batch."""

    def rewrite(self, op: ir.OpView) -> bool:
        lhs, rhs = op.operation.operands
        element_type = element_type_of(op.operation.results[0])
        accumulator = payload.compute_type(element_type)
        product = contract_batches(lhs, rhs, attributes_of(op).transpose_rhs, accumulator)
        return b.finish(op, b.convert_elements(product, element_type))


def mask_scores(scores: ir.Value, masks: Sequence[ir.Value], scale: float, is_causal: bool) -> ir.Value:
    """scores * scale + mask, and -inf above the diagonal if `is_causal`."""
    element_type = element_type_of(scores)
    sizes = b.sizes_of(scores)
    rank = len(sizes)

    def body(score: ir.Value, *mask: ir.Value) -> ir.Value:
        result = arith.mulf(score, payload.constant(element_type, scale))
        for item in mask:
            result = arith.addf(result, payload.cast(item, element_type))
        if not is_causal:
            return result
        hidden = arith.cmpi(arith.CmpIPredicate.ugt, linalg.IndexOp(rank - 1).result, linalg.IndexOp(rank - 2).result)
        return arith.select(hidden, payload.constant(element_type, float("-inf")), result)

    maps = [b.dims(rank), *(b.broadcast_map(mask, sizes) for mask in masks)]
    return b.elementwise([scores, *masks], maps, sizes, element_type, body)


def repeat_heads(value: ir.Value, count: int) -> ir.Value:
    """value[b..., g, s, e] with each head repeated `count` times in place."""
    if count == 1:
        return value
    *batch, heads, length, width = b.sizes_of(value)
    rank = len(batch) + 4
    axes = b.dims(rank)
    sizes = [*batch, heads, count, length, width]
    copies = b.elementwise([value], [[*axes[:-3], *axes[-2:]]], sizes, element_type_of(value), lambda x: x)
    return b.collapse(copies, [*([axis] for axis in range(rank - 4)), [rank - 4, rank - 3], [rank - 2], [rank - 1]])


@reference_of(graph.AttentionOp)
class ConvertAttention(Pattern):
    """The three steps of the definition; the scores stay in the accumulator's type until the end."""

    def rewrite(self, op: ir.OpView) -> bool:
        *tensors, masks = *list(op.operation.operands)[:3], list(op.operation.operands)[3:]
        attrs = attributes_of(op)
        inner = AttentionOp.inner_heads(attrs)
        query, key, value = (_heads_moved(x) if number in inner else x for number, x in enumerate(tensors))
        element_type = element_type_of(op.operation.results[0])
        accumulator = payload.compute_type(element_type)
        shared = AttentionOp.heads_per_key(shape_of(query), shape_of(key))
        key, value = repeat_heads(key, shared), repeat_heads(value, shared)
        scores = contract_batches(query, key, True, accumulator)
        scores = mask_scores(scores, masks, attrs.scale, attrs.is_causal)
        weights = softmax(scores, len(shape_of(scores)) - 1)
        result = b.convert_elements(contract_batches(weights, value, False, accumulator), element_type)
        return b.finish(op, _heads_moved(result) if RESULT in inner else result)


def _heads_moved(value: ir.Value) -> ir.Value:
    return b.transpose(value, heads_moved(range(len(shape_of(value)))))
