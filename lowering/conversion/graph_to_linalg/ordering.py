"""argsort and arg_scan: loops that double a length, each turn a parallel op that looks elements up.

IREE's own sort exchanges neighbours, in a time that grows with the square of the size, and leaves NaN where it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of, to_attribute
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph import payload
from terrace.lowering.graph.payload_types import compare, follow, neutral
from terrace.mlir import arith, ir, linalg, load_torch_dialects, scf, tensor
from terrace.rewriting import Pattern

Order = Callable[[ir.Value, ir.Value], ir.Value]


def is_larger(left: ir.Value, right: ir.Value) -> ir.Value:
    """Whether `left` comes after `right` where numbers ascend, NaN last."""
    larger = compare("gt", left, right)
    if not payload.is_float(left.type):
        return larger
    takes_nan = arith.andi(compare("ne", left, left), compare("eq", right, right))
    return arith.ori(larger, takes_nan)


def is_smaller(left: ir.Value, right: ir.Value) -> ir.Value:
    """The same where numbers descend and NaN is last."""
    smaller = compare("lt", left, right)
    if not payload.is_float(left.type):
        return smaller
    takes_nan = arith.andi(compare("ne", left, left), compare("eq", right, right))
    return arith.ori(smaller, takes_nan)


class Rows:
    """Looks elements up along `axis` of a tensor, at the point `here` of the surrounding linalg op."""

    def __init__(self, value: ir.Value, axis: int, here: Sequence[ir.Value]) -> None:
        self._value = value
        self._axis = axis
        self._here = here

    def at(self, place: ir.Value) -> ir.Value:
        """The element at `place`, an index, in the row of this point."""
        return tensor.extract(self._value, [*self._here[: self._axis], place, *self._here[self._axis + 1 :]])


class Turn:
    """What a turn of `doubling` has at one point: its place in its row, the length, and the tables to look into."""

    def __init__(self, value: ir.Value, places: ir.Value, axis: int, length: ir.Value, size: ir.Value) -> None:
        # Ops of a nested region may not ask for the point themselves.
        here = [linalg.IndexOp(i).result for i in range(len(shape_of(value)))]
        self.here, self.length, self.size = here[axis], length, size
        self.rows = Rows(value, axis, here)
        self._places = Rows(places, axis, here)

    def place(self, position: ir.Value) -> ir.Value:
        """The place that stands at `position` of the order so far."""
        return arith.index_cast(ir.IndexType.get(), self._places.at(position))


def doubling(value: ir.Value, axis: int, turn: Callable[[Turn], ir.Value]) -> ir.Value:
    """Places along `axis`, each its own at first, then what `turn` makes of them for lengths 1, 2, 4, ..."""
    i64 = ir.IntegerType.get_signless(64)
    sizes = b.sizes_of(value)
    size = b.index_value(sizes[axis])

    def at_all(place: Callable[[], ir.Value]) -> ir.Value:
        return b.elementwise([], [], sizes, i64, lambda: arith.index_cast(i64, place()))

    def condition(length: ir.Value, places: ir.Value) -> None:
        scf.condition(arith.cmpi(arith.CmpIPredicate.ult, length, size), [length, places])

    def advance(length: ir.Value, places: ir.Value) -> list[ir.Value]:
        turned = at_all(lambda: turn(Turn(value, places, axis, length, size)))
        return [arith.muli(length, b.index_value(2)), turned]

    start = at_all(lambda: linalg.IndexOp(axis).result)
    return repeat([b.index_value(1), start], condition, advance)[1]


def repeat(
    initial: Sequence[ir.Value],
    condition: Callable[..., None],
    advance: Callable[..., Sequence[ir.Value]],
) -> list[ir.Value]:
    """An scf.while over `initial`; `condition` ends its block by an scf.condition on all values."""
    types = [value.type for value in initial]
    loop = scf.WhileOp(types, list(initial))
    locations = [loop.operation.location] * len(types)
    before = loop.before.blocks.append(*types, arg_locs=locations)
    after = loop.after.blocks.append(*types, arg_locs=locations)
    with ir.InsertionPoint(before):
        condition(*before.arguments)
    with ir.InsertionPoint(after):
        scf.yield_(list(advance(*after.arguments)))
    return list(loop.operation.results)


# ---------------------------------------------------------------------------------------------------------------------
# Patterns
# ---------------------------------------------------------------------------------------------------------------------


@reference_of(graph.ArgsortOp)
class ConvertArgsort(Pattern):
    """A merge sort."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        attrs = attributes_of(op)
        return b.finish(op, places_in_order(value, attrs.axis, attrs.descending))


@reference_of(graph.TopkOp)
class ConvertTopk(Pattern):
    """The first of a whole order."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        attrs = attributes_of(op)
        sizes: list[b.Size] = b.sizes_of(value)
        sizes[attrs.axis] = attrs.count
        ordered = places_in_order(value, attrs.axis, attrs.descending)
        return b.finish(op, b.extract_slice(ordered, [0] * len(sizes), sizes, [1] * len(sizes)))


def places_in_order(value: ir.Value, axis: int, descending: bool) -> ir.Value:
    """Neighbouring runs, sorted, become one of twice their length, turn by turn."""

    def turn(at: Turn) -> ir.Value:
        def comes_first(left: ir.Value, right: ir.Value) -> ir.Value:
            """Whether the element at `left` stands before that at `right`; never for equal ones."""
            first, second = at.rows.at(left), at.rows.at(right)
            return is_larger(first, second) if descending else is_larger(second, first)

        return merged(at, comes_first)

    return doubling(value, axis, turn)


def merged(at: Turn, comes_first: Order) -> ir.Value:
    """What stands here after the runs of `at.length` around it are merged; all arithmetic is on indices.

    Of the first `count` elements of both runs together, the number that the first run gives is found by bisection.
    """
    zero, one = b.index_value(0), b.index_value(1)
    both = arith.muli(at.length, b.index_value(2))
    start = arith.muli(arith.divui(at.here, both), both)
    count, left = arith.subi(at.here, start), arith.subi(at.size, start)
    first_length = arith.minui(left, at.length)
    second = arith.addi(start, first_length)
    second_length = arith.minui(arith.subi(left, first_length), at.length)

    def condition(low: ir.Value, high: ir.Value) -> None:
        scf.condition(arith.cmpi(arith.CmpIPredicate.ult, low, high), [low, high])

    def advance(low: ir.Value, high: ir.Value) -> list[ir.Value]:
        middle = arith.shrui(arith.addi(low, high), one)
        opposite = arith.addi(second, arith.subi(arith.subi(count, middle), one))
        is_enough = comes_first(at.place(opposite), at.place(arith.addi(start, middle)))
        return [
            arith.select(is_enough, low, arith.addi(middle, one)),
            arith.select(is_enough, middle, high),
        ]

    bounds = [arith.maxsi(arith.subi(count, second_length), zero), arith.minui(count, first_length)]
    from_first = repeat(bounds, condition, advance)[0]
    from_second = arith.subi(count, from_first)
    last = arith.subi(at.size, one)
    # A run that is used up has no next element; any place of the row may be looked up for it.
    candidate = at.place(arith.minui(arith.addi(start, from_first), last))
    other = at.place(arith.minui(arith.addi(second, from_second), last))
    is_used_up = arith.cmpi(arith.CmpIPredicate.uge, from_first, first_length)
    has_other = arith.cmpi(arith.CmpIPredicate.ult, from_second, second_length)
    takes_other = arith.ori(is_used_up, arith.andi(has_other, comes_first(other, candidate)))
    return arith.select(takes_other, other, candidate)


@reference_of(graph.ScanOp)
class ConvertScan(Pattern):
    """`tm_tensor.scan`, one element after another; narrow floats as f32."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        attrs, element_type = attributes_of(op), element_type_of(value)
        wide = payload.compute_type(element_type)
        value = b.convert_elements(value, wide)
        sizes = b.sizes_of(value)
        first = neutral(attrs.kind, wide)
        into = [b.filled(some, wide, first) for some in (sizes, [*sizes[: attrs.axis], *sizes[attrs.axis + 1 :]])]
        result = scan(value, into, attrs.axis, functools.partial(follow, attrs.kind))
        return b.finish(op, b.convert_elements(result, element_type))


def scan(value: ir.Value, into: Sequence[ir.Value], axis: int, body: Order) -> ir.Value:
    """What `body` makes of what is so far and each element along an axis; `into` holds what nothing changes."""
    if not value.context.is_registered_operation("tm_tensor.scan"):
        load_torch_dialects(value.context)
    operation = ir.Operation.create(
        "tm_tensor.scan",
        results=[memory.type for memory in into],
        operands=[value, *into],
        attributes={
            "dimension": to_attribute(axis),
            "inclusive": ir.BoolAttr.get(True),
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([1, 2]),
        },
        regions=1,
    )
    element_type = element_type_of(value)
    block = operation.regions[0].blocks.append(element_type, element_type, arg_locs=[operation.location] * 2)
    with ir.InsertionPoint(block):
        after, before = block.arguments
        ir.Operation.create("tm_tensor.yield", operands=[body(before, after)])
    return operation.results[0]


@reference_of(graph.ArgScanOp)
class ConvertArgScan(Pattern):
    """A scan: after a turn of `length`, each place holds the extreme of the last 2 * `length` elements."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        attrs = attributes_of(op)
        comes_after = is_larger if attrs.kind == "max" else is_smaller

        def turn(at: Turn) -> ir.Value:
            has_before = arith.cmpi(arith.CmpIPredicate.uge, at.here, at.length)
            before = arith.select(has_before, arith.subi(at.here, at.length), at.here)
            best, other = at.place(at.here), at.place(before)
            # Of equal ones the later stays.
            return arith.select(comes_after(at.rows.at(other), at.rows.at(best)), other, best)

        return b.finish(op, doubling(value, attrs.axis, turn))
