"""Rewrites of the graph dialect that always pay: identities, chains of layout ops, and forms the generators prefer.

Only exact identities: x * 1 is x, but x + 0.0 is not (-0.0 + 0.0 is 0.0), so a sum folds for -0.0 alone, and a
difference for 0.0 alone. Integers have one zero. A convolution by 1x1 windows is a matmul over its pixels.
"""

from __future__ import annotations

import dataclasses
import math

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph import BatchMatmulOp, MatmulOp, PermuteOp, ReshapeOp
from terrace.lowering.graph.builders import erase_dead_ops, splat_value
from terrace.lowering.kernels.view import is_kernel
from terrace.mlir import DYNAMIC, func, ir, operation_of
from terrace.passes import Pass
from terrace.rewriting import Pattern, apply_patterns, replace


class MergeReshapes(Pattern):
    """reshape(reshape(x)) is one reshape; a reshape to the type of its input is its input."""

    op_name = "graph.reshape"

    def rewrite(self, op: ir.OpView) -> bool:
        # By position: the bindings' accessors of ops with variadic operands want an attribute that ours do without.
        value, *sizes = op.operation.operands
        if _is_same_shape(value, op.result):
            return replace(op, value)
        inner = operation_of(value)
        if inner is None or inner.name != "graph.reshape":
            return False
        return replace(op, ReshapeOp.build(inner.operands[0], *sizes, result_type=op.result.type))


class MergePermutes(Pattern):
    """permute(permute(x)) is one permute; the identity is its input, and one that moves no element a reshape."""

    op_name = "graph.permute"

    def rewrite(self, op: ir.OpView) -> bool:
        source, permutation = op.input, attributes_of(op).permutation
        inner = operation_of(source)
        if inner is not None and inner.name == "graph.permute":
            source, first = inner.operands[0], attributes_of(inner).permutation
            permutation = [first[axis] for axis in permutation]
        if permutation == sorted(permutation) and source.type == op.result.type:
            return replace(op, source)
        if source == op.input:
            return _moves_ones_only(op) and replace(op, ReshapeOp.build(source, result_type=op.result.type))
        return replace(op, PermuteOp.build(source, permutation=permutation, result_type=op.result.type))


def _moves_ones_only(permute: ir.OpView) -> bool:
    """Whether all dimensions that are moved past each other, of a static shape, have a size of 1, or all but one."""
    shape, moved = shape_of(permute.input), attributes_of(permute).permutation
    larger = [axis for axis in moved if shape[axis] != 1]
    return DYNAMIC not in shape and larger == sorted(larger)


class DropBroadcast(Pattern):
    """A broadcast to the static shape of its input is its input; where a size is `?`, it may stretch.

    A kernel of such a broadcast copies, as something else will update the copy in place.
    """

    op_name = "graph.broadcast"

    def rewrite(self, op: ir.OpView) -> bool:
        value, function = op.operation.operands[0], op.operation.parent.opview
        if isinstance(function, func.FuncOp) and is_kernel(function):
            return False
        if value.type != op.result.type or DYNAMIC in shape_of(value):
            return False
        return replace(op, value)


class DropCast(Pattern):
    """A cast to the element type of its input is its input."""

    op_name = "graph.cast"

    def rewrite(self, op: ir.OpView) -> bool:
        return op.input.type == op.result.type and replace(op, op.input)


class DropSlice(Pattern):
    """A slice that takes all of its input is its input."""

    op_name = "graph.slice"

    def rewrite(self, op: ir.OpView) -> bool:
        attrs = attributes_of(op)
        whole = all(stop in (-1, size) for stop, size in zip(attrs.stops, shape_of(op.input), strict=True))
        if not whole or any(attrs.starts) or any(step != 1 for step in attrs.steps):
            return False
        return op.input.type == op.result.type and replace(op, op.input)


class DropPad(Pattern):
    """A padding by nothing is its input."""

    op_name = "graph.pad"

    def rewrite(self, op: ir.OpView) -> bool:
        attrs = attributes_of(op)
        if any([*attrs.low, *attrs.high]):
            return False
        return op.input.type == op.result.type and replace(op, op.input)


class DropMul(Pattern):
    """x * 1 and 1 * x are x."""

    op_name = "graph.mul"

    def rewrite(self, op: ir.OpView) -> bool:
        for value, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            if splat_value(other) == 1 and _keeps_shape(value, other, op.result):
                return replace(op, value)
        return False


class DropAdd(Pattern):
    """x + (-0.0) is x in floating point, x + 0 in integers; either way round."""

    op_name = "graph.add"

    def rewrite(self, op: ir.OpView) -> bool:
        for value, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            if _is_zero(other, negative=True) and _keeps_shape(value, other, op.result):
                return replace(op, value)
        return False


class DropSub(Pattern):
    """x - 0.0 is x, x - 0 in integers."""

    op_name = "graph.sub"

    def rewrite(self, op: ir.OpView) -> bool:
        if not _is_zero(op.rhs, negative=False) or not _keeps_shape(op.lhs, op.rhs, op.result):
            return False
        return replace(op, op.lhs)


class ConvertPointwiseConv2d(Pattern):
    """A 1x1 NHWC convolution without stride, padding or groups is a matmul of its pixels: [n, h, w, c] * [o, c]^T."""

    op_name = "graph.conv2d"

    def rewrite(self, op: ir.OpView) -> bool:
        attrs = attributes_of(op)
        weight = shape_of(op.weight)
        if attrs.layout != "NHWC" or attrs.groups != 1 or weight[2:] != [1, 1] or DYNAMIC in weight:
            return False
        if attrs.strides != [1, 1] or any(attrs.padding):
            return False
        matrix_type = ir.RankedTensorType.get(weight[:2], element_type_of(op.weight))
        matrix = ReshapeOp.build(op.weight, result_type=matrix_type)
        return replace(op, MatmulOp.build(op.input, matrix, transpose_rhs=True, result_type=op.result.type))


class FoldTransposeIntoMatmul(Pattern):
    """A matmul by a transposed matrix reads the matrix the other way round."""

    op_name = "graph.matmul"

    def rewrite(self, op: ir.OpView) -> bool:
        return _fold_transpose(op, MatmulOp)


class FoldTransposeIntoBatchMatmul(Pattern):
    """A batched matmul by matrices transposed in their last two dimensions reads them the other way round."""

    op_name = "graph.batch_matmul"

    def rewrite(self, op: ir.OpView) -> bool:
        return _fold_transpose(op, BatchMatmulOp)


def _fold_transpose(op: ir.OpView, op_class: type[MatmulOp] | type[BatchMatmulOp]) -> bool:
    inner = operation_of(op.rhs)
    if inner is None or inner.name != "graph.permute":
        return False
    rank = len(shape_of(op.rhs))
    if attributes_of(inner).permutation != [*range(rank - 2), rank - 1, rank - 2]:
        return False
    transposed = not attributes_of(op).transpose_rhs
    result_type = op.result.type
    return replace(op, op_class.build(op.lhs, inner.operands[0], transpose_rhs=transposed, result_type=result_type))


def _is_same_shape(value: ir.Value, result: ir.Value) -> bool:
    """Whether both have one type that leaves room for one shape only: as many elements, and at most one `?`."""
    shape = shape_of(value)
    return value.type == result.type and shape.count(DYNAMIC) <= 1 and 0 not in shape


def _keeps_shape(value: ir.Value, other: ir.Value, result: ir.Value) -> bool:
    """Whether `value` has the shape of `result` whatever its `?` sizes are: `other` does not stretch it."""
    if value.type != result.type:
        return False
    shape, others = shape_of(value), shape_of(other)
    # Both aligned at the last dimension; a `?` may be 1 and is kept only by a 1.
    trailing = shape[len(shape) - len(others) :]
    return all(size == 1 or own != DYNAMIC for own, size in zip(trailing, others, strict=True))


def _is_zero(value: ir.Value, *, negative: bool) -> bool:
    """Whether `value` is a splat of zero; of the given sign, if it is floating point."""
    number = splat_value(value)
    if number is None or number != 0:
        return False
    is_integer = isinstance(element_type_of(value), ir.IntegerType)
    return is_integer or (math.copysign(1.0, number) < 0) == negative


PATTERNS: tuple[Pattern, ...] = (
    MergeReshapes(),
    MergePermutes(),
    DropBroadcast(),
    DropCast(),
    DropSlice(),
    DropPad(),
    DropMul(),
    DropAdd(),
    DropSub(),
    ConvertPointwiseConv2d(),
    FoldTransposeIntoMatmul(),
    FoldTransposeIntoBatchMatmul(),
)


@dataclasses.dataclass(frozen=True)
class SimplifyGraph(Pass):
    """Drop identities and dead ops, merge layout ops, turn 1x1 convolutions into matmuls."""

    name = "simplify-graph"

    def run(self, module: ir.Operation) -> None:
        apply_patterns(module, PATTERNS)
        erase_dead_ops(module)
