"""Whether a function goes through a buffer once, element after element, as a queue gives and takes them."""

from __future__ import annotations

import math

from terrace.dialects.base import shape_of, to_python
from terrace.dialects.hardware import STREAM
from terrace.lowering.target.hls.addresses import BELOW, Access, constant_index, flat_moves, trip_count
from terrace.lowering.target.hls.calls import root_of
from terrace.mlir import func, ir, operation_of

Range = tuple[int, int]

_AT_LEAST = (5, 9)
"""The predicates >= of arith.cmpi, signed and unsigned; indices are never negative."""


def is_stream(memory: ir.Value) -> bool:
    """Whether a memory of @main, or what it is a view of, is a queue."""
    root = root_of(memory)
    owner = operation_of(root)
    if owner is not None:
        return STREAM in owner.attributes
    function = ir.BlockArgument(root).owner.owner.opview
    return "arg_attrs" in function.attributes and STREAM in function.arg_attrs[ir.BlockArgument(root).arg_number]


def is_sequential(function: func.FuncOp, argument: int) -> bool:
    """Whether `function` reads or writes the elements of its argument in order, each once, at one place in its code.

    The place may stand in loops, and under conditions that a loop's index lies in a range.
    """
    memory = function.entry_block.arguments[argument]
    users = [use.owner.operation for use in memory.uses]
    if len(users) != 1 or users[0].name not in ("memref.load", "memref.store"):
        return False
    moves = flat_moves(Access(users[0]))
    if moves is None:
        return False
    ranges: dict[ir.Value, Range] = {}
    run, child, parent = 1, users[0], users[0].parent.operation
    while parent.name in ("scf.for", "scf.if"):
        if parent.name == "scf.if":
            found = index_range(parent.operands[0])
            if found is None or child.block != parent.regions[0].blocks[0]:
                return False
            ranges[found[0]] = found[1]
        else:
            index, step = parent.regions[0].blocks[0].arguments[0], constant_index(parent.operands[2])
            trips = _trips_within(parent, ranges.pop(index, None))
            if trips is None or step is None or moves.pop(index, 0) * step != run:
                return False
            run *= trips
        child, parent = parent, parent.parent.operation
    return parent == function.operation and not moves and not ranges and run == math.prod(shape_of(memory))


def _trips_within(loop: ir.Operation, wanted: Range | None) -> int | None:
    """How often a loop from 0 runs, where only indices in `wanted` count."""
    trips, step = trip_count(loop), constant_index(loop.operands[2])
    if trips is None or constant_index(loop.operands[0]) != 0:
        return None
    if wanted is None:
        return trips
    low, high = wanted
    return high - low if step == 1 and 0 <= low <= high <= trips else None


def index_range(condition: ir.Value) -> tuple[ir.Value, Range] | None:
    """The value and the range that a condition `low <= value && value < high` of constants is about."""
    both = operation_of(condition)
    if both is None or both.name != "arith.andi":
        return None
    low = high = None
    values = []
    for operand in both.operands:
        compare = operation_of(operand)
        if compare is None or compare.name != "arith.cmpi":
            return None
        predicate, bound = to_python(compare.attributes["predicate"]), constant_index(compare.operands[1])
        values.append(compare.operands[0])
        if predicate in _AT_LEAST:
            low = bound
        elif predicate in BELOW:
            high = bound
    if low is None or high is None or values[0] != values[1]:
        return None
    return values[0], (low, high)
