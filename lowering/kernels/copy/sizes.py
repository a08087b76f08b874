"""The sizes of what a copy gives, where they are known at run time only; built at the insertion point."""

from __future__ import annotations

from collections.abc import Callable

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.graph.builders import size_of
from terrace.mlir import DYNAMIC, arith, ir


def _number(value: int) -> ir.Value:
    return arith.constant(ir.IndexType.get(), value)


def _cut(root: ir.Operation, axis: int) -> ir.Value:
    """An axis may be shorter than where its slice starts, as in Python; there is nothing then."""
    attrs, size = attributes_of(root), size_of(root.operands[0], axis)
    start, step = attrs.starts[axis], attrs.steps[axis]
    count = arith.subi(size, arith.minui(size, _number(start))) if start else size
    return arith.ceildivui(count, _number(step)) if step != 1 else count


def _padded(root: ir.Operation, axis: int) -> ir.Value:
    attrs = attributes_of(root)
    more = attrs.low[axis] + attrs.high[axis]
    size = size_of(root.operands[0], axis)
    return arith.addi(size, _number(more)) if more else size


def _joined(root: ir.Operation, axis: int) -> ir.Value:
    first, *others = root.operands
    total = size_of(first, axis)
    for other in others if axis == attributes_of(root).axis else ():
        total = arith.addi(total, size_of(other, axis))
    return total


def _given(root: ir.Operation, axis: int) -> ir.Value:
    """A broadcast has them as operands."""
    number = shape_of(root.results[0])[:axis].count(DYNAMIC)
    return root.operands[1 + number]


_OF_ROOT: dict[str, Callable[[ir.Operation, int], ir.Value]] = {
    "graph.border_pad": _padded,
    "graph.broadcast": _given,
    "graph.concat": _joined,
    "graph.pad": _padded,
    "graph.slice": _cut,
}


def result_sizes(root: ir.Operation) -> list[ir.Value | int]:
    """The sizes of a copy's result."""
    shape = shape_of(root.results[0])
    return [_OF_ROOT[root.name](root, axis) if size == DYNAMIC else size for axis, size in enumerate(shape)]
