"""The schedule of weighted sums along an axis, on vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from terrace.element_types import ElementType
from terrace.lowering.kernels.elementwise.schedule import ASSUMED_SIZE, UNROLL
from terrace.lowering.kernels.elementwise.schedule import schedule_for_vectors as schedule_rows
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import parallel_blocks, wanted_workgroups
from terrace.machine import VectorMachine

LONGEST = 4096
"""Elements of a line that are laid out at once: those of a register's lines are half of a core's second cache."""

FEWEST = 2048
"""Elements of a result that are worth the code that transposes; fewer are computed one by one."""

CYCLES = 1
"""Of one term."""


def schedule_for_vectors(
    space: IterationSpace,
    axis: int,
    width: int,
    types: Sequence[ElementType],
    machine: VectorMachine,
    unroll: int = UNROLL,
) -> Schedule:
    """Vectors along the last dimension; where that is the axis itself, of `width` elements, as many lines side by side.

    Elements by themselves where there is one line, where they are few, or lines are too long to be laid out.
    """
    *names, _ = space.names
    if axis != len(names) - 1:
        parallel = IterationSpace(tuple(names), space.kinds[:-1], space.sizes[:-1])
        return schedule_rows(parallel, types, machine, unroll)
    sizes = space.known(assumed=ASSUMED_SIZE)
    is_small = math.prod(sizes[name] for name in names) < FEWEST
    are_lines = len(names) > 1 and sizes[names[0]] > 1 and width <= LONGEST and not is_small
    tiles = {names[0]: min(machine.lanes, sizes[names[0]])} if are_lines else {names[-1]: 1}
    parts = wanted_workgroups(CYCLES * math.prod(sizes.values()), machine.workers)
    blocks = parallel_blocks({names[0]: sizes[names[0]]}, tiles, parts)
    return Schedule.of(tiles, blocks, tuple(blocks))
