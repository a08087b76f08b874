"""Whether a function goes through a buffer once, element after element, as a queue gives and takes them."""

from __future__ import annotations

import math
from typing import Any

from terrace.dialects.base import shape_of
from terrace.lowering.target.hls.addresses import Access, coefficients, constant_index, trip_count
from terrace.mlir import ir


def is_sequential(function: Any, argument: int) -> bool:
    """Whether `function` reads or writes the elements of its argument in order, each once, at one place in its code."""
    memory = function.entry_block.arguments[argument]
    users = [use.owner.operation for use in memory.uses]
    if len(users) != 1 or users[0].name not in ("memref.load", "memref.store"):
        return False
    moves = _moves_per_iteration(Access(users[0]), shape_of(memory))
    if moves is None:
        return False
    run, parent = 1, users[0].parent.operation
    while parent.name == "scf.for":
        trips, index = trip_count(parent), parent.regions[0].blocks[0].arguments[0]
        step = constant_index(parent.operands[2])
        if trips is None or step is None or constant_index(parent.operands[0]) != 0:
            return False
        if moves.pop(index, 0) * step != run:
            return False
        run, parent = run * trips, parent.parent.operation
    return parent == function.operation and not moves and run == math.prod(shape_of(memory))


def _moves_per_iteration(access: Access, shape: list[int]) -> dict[ir.Value, int] | None:
    """How far the flat address moves when each index grows by 1, or None if it is not affine."""
    moves: dict[ir.Value, int] = {}
    for axis, index in enumerate(access.indices):
        found = coefficients(index)
        if found is None:
            return None
        for value, factor in found.items():
            moves[value] = moves.get(value, 0) + factor * math.prod(shape[axis + 1 :])
    return moves
