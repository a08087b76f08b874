"""The forms of softmax and layer norm on integers, along rows: exact, so in any order the same.

Each row is passed over as by the forms on floats, in `row_reduction`: once for each statistic, once for the result.
"""

from __future__ import annotations

from terrace.dialects.base import attributes_of
from terrace.lowering.graph import payload_quantized as steps
from terrace.lowering.graph.payload_types import cast
from terrace.lowering.kernels.builder import Index
from terrace.lowering.kernels.row_reduction.row import Row
from terrace.mlir import arith, ir


def _integer(width: int) -> ir.Type:
    return ir.IntegerType.get_signless(width)


def integer_softmax(row: Row) -> None:
    """By `steps`, which the reference takes, too."""
    table = attributes_of(row.root).table
    largest = row.fold("max", lambda x: x, _integer(8))

    def power(x: ir.Value) -> ir.Value:
        return steps.exponential(x, row.repeat(largest, x), table)

    factor = steps.softmax_factor(row.fold("sum", power, _integer(32)))
    row.finish(lambda x, place: steps.softmax_result(power(x), row.repeat(factor, x)))


def integer_layer_norm(row: Row) -> None:
    """The root is found bit by bit, in a loop."""
    attrs, count = attributes_of(row.root), row.length
    assert isinstance(count, int), "the op has rows of static length"
    i32, i64 = _integer(32), _integer(64)
    total = row.fold("sum", lambda x: cast(x, i32), i32)

    def centred(x: ir.Value) -> ir.Value:
        return steps.centred(x, row.repeat(total, x), count)

    squares = row.fold("sum", lambda x: steps.squared(centred(x)), i64)
    number = steps.radicand(squares, count, attrs.epsilon)

    def next_root(step: Index, root: ir.Value) -> ir.Value:
        place = arith.index_cast(i64, row.b.value(row.b.sub(steps.ROOT_BITS - 1, step)))
        bit = arith.shli(row.number(1, i64), row.b.spread([1, 1], place))
        return steps.next_root(root, bit, number)

    factor = steps.norm_factor(row.b.reduce(0, steps.ROOT_BITS, 1, row.number(0, i64), next_root))
    row.finish(lambda x, place: steps.norm_result(centred(x), row.repeat(factor, x)))
