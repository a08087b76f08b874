"""The forms of softmax and layer norm on integers, along rows: exact, so in any order the same.

Each row is passed over as by the forms on floats, in `row_reduction`: once for each statistic, once for the result.
"""

from __future__ import annotations

from terrace.dialects.base import attributes_of
from terrace.lowering.graph import payload_quantized as steps
from terrace.lowering.graph.payload_types import cast
from terrace.lowering.kernels.builder import Index
from terrace.lowering.kernels.row_reduction.lines import Lines
from terrace.lowering.kernels.view import TilePlace
from terrace.mlir import arith, ir


def _integer(width: int) -> ir.Type:
    return ir.IntegerType.get_signless(width)


def integer_softmax(lines: Lines) -> None:
    """By `steps`, which the reference takes, too."""
    table = attributes_of(lines.root).table
    largest = lines.fold("max", lines.input, _integer(8))

    def power(place: TilePlace) -> ir.Value:
        x = lines.input(place)
        return steps.exponential(x, lines.repeat(largest, x), table)

    factor = steps.softmax_factor(lines.fold("sum", power, _integer(32)))

    def result(place: TilePlace) -> ir.Value:
        x = power(place)
        return steps.softmax_result(x, lines.repeat(factor, x))

    lines.finish(result)


def integer_layer_norm(lines: Lines) -> None:
    """The root is found bit by bit, in a loop."""
    attrs, count = attributes_of(lines.root), lines.size
    assert isinstance(count, int), "the op has rows of static length"
    i32, i64 = _integer(32), _integer(64)
    total = lines.fold("sum", lambda place: cast(lines.input(place), i32), i32)

    def centred(place: TilePlace) -> ir.Value:
        x = lines.input(place)
        return steps.centred(x, lines.repeat(total, x), count)

    squares = lines.fold("sum", lambda place: steps.squared(centred(place)), i64)
    number = steps.radicand(squares, count, attrs.epsilon)

    def next_root(step: Index, values: list[ir.Value]) -> list[ir.Value]:
        place = arith.index_cast(i64, lines.b.value(lines.b.sub(steps.ROOT_BITS - 1, step)))
        root, rest = values
        return list(steps.next_root_and_rest(root, rest, lines.b.spread(lines.statistic, place)))

    root, _ = lines.b.reduce_all(0, steps.ROOT_BITS, 1, [lines.number(0, i64), number], next_root)
    factor = steps.norm_factor(root)

    def result(place: TilePlace) -> ir.Value:
        x = centred(place)
        return steps.norm_result(x, lines.repeat(factor, x))

    lines.finish(result)
