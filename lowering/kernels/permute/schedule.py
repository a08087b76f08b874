"""The cost model of permutations: pure functions of sizes and hardware."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.element_types import ElementType
from terrace.lowering.kernels.elementwise.schedule import schedule_for_vectors as schedule_rows
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import round_up
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC


def schedule_for_vectors(
    space: IterationSpace, permutation: Sequence[int], types: Sequence[ElementType], machine: VectorMachine
) -> Schedule:
    """Runs of the last dimension where it stays the last, as elementwise kernels have; else blocks that are transposed:
    a vector of it by a vector of the dimension that was the last."""
    rows = schedule_rows(space, types, machine)
    was_last = space.names[list(permutation).index(len(permutation) - 1)]
    last = space.names[-1]
    if was_last == last:
        return rows
    tiles = {
        name: machine.lanes if space.size(name) == DYNAMIC else max(1, min(space.size(name), machine.lanes))
        for name in (last, was_last)  # Few runs of the operand at a time, each read to its end.
    }
    local = rows.cut("local")
    blocks = {name: round_up(block, tiles.get(name, 1)) for name, block in local.sizes.items()}
    return Schedule.of(tiles, blocks, local.parallel)
