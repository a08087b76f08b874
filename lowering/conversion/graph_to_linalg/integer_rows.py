"""integer_softmax and integer_layer_norm as a few linalg.generic each, of the steps that their specification names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.normalization import without
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph import payload_quantized as steps
from terrace.lowering.graph.payload_types import cast, constant, neutral
from terrace.mlir import arith, ir
from terrace.rewriting import Pattern


def integer(width: int) -> ir.Type:
    return ir.IntegerType.get_signless(width)


def each(values: list[ir.Value], maps: list[Any], type_: ir.Type, body: Callable[..., ir.Value]) -> ir.Value:
    """An elementwise op in the shape of the first value."""
    return b.elementwise(values, maps, b.sizes_of(values[0]), type_, body)


@reference_of(graph.IntegerSoftmaxOp)
class ConvertIntegerSoftmax(Pattern):
    """The largest, the exponentials, their sum, its factor, the result."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        attrs = attributes_of(op)
        rank = len(shape_of(value))
        whole, row = b.dims(rank), without([attrs.axis], rank)
        i8, i32, i64 = (integer(width) for width in (8, 32, 64))
        largest = b.reduce(value, [attrs.axis], i8, initial=neutral("max", i8), combine=arith.maxsi)

        def power(x: ir.Value, most: ir.Value) -> ir.Value:
            return steps.exponential(x, most, attrs.table)

        # Looked up twice: IREE gives a tensor of exponentials a place on the stack, whatever its size.
        others = [(largest, row)]
        total = b.reduce(value, [attrs.axis], i32, initial=0, combine=arith.addi, prepare=power, others=others)
        factor = each([total], [b.dims(rank - 1)], i64, steps.softmax_factor)

        def result(x: ir.Value, most: ir.Value, scale: ir.Value) -> ir.Value:
            return steps.softmax_result(power(x, most), scale)

        return b.finish(op, each([value, largest, factor], [whole, row, row], i8, result))


def root_of(number: ir.Value) -> ir.Value:
    """The floor of the square root of a scalar, step by step."""
    root = constant(number.type, 0)
    for bit in reversed(range(steps.ROOT_BITS)):
        root = steps.next_root(root, constant(number.type, 1 << bit), number)
    return root


@reference_of(graph.IntegerLayerNormOp)
class ConvertIntegerLayerNorm(Pattern):
    """The sum, the centred numbers, the sum of their squares, its factor, the result."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        attrs, shape = attributes_of(op), shape_of(value)
        rank = len(shape)
        axes = list(range(rank - attrs.dims, rank))
        count = math.prod(shape[axis] for axis in axes)
        whole, row = b.dims(rank), without(axes, rank)
        i32, i64 = integer(32), integer(64)
        total = b.reduce(value, axes, i32, initial=0, combine=arith.addi)
        centred = each([value, total], [whole, row], i32, lambda x, sum_: steps.centred(x, sum_, count))
        squares = each([centred], [whole], i64, steps.squared)
        variance = b.reduce(squares, axes, i64, initial=0, combine=arith.addi)

        def factor_of(sum_: ir.Value) -> ir.Value:
            return steps.norm_factor(root_of(steps.radicand(cast(sum_, i64), count, attrs.epsilon)))

        factor = each([variance], [b.dims(rank - attrs.dims)], i64, factor_of)
        return b.finish(op, each([centred, factor], [whole, row], i32, steps.norm_result))
