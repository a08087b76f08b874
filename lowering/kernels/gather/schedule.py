"""The schedule of reads at indices on vectors."""

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

CYCLES = 2
"""Of one element that is read by itself."""


def schedule_for_vectors(
    space: IterationSpace, has_rows: bool, types: Sequence[ElementType], machine: VectorMachine, unroll: int = UNROLL
) -> Schedule:
    """Rows as elementwise kernels have them, where elements along the last dimension have one index; else each one."""
    if has_rows:
        return schedule_rows(space, types, machine, unroll)
    sizes = space.known(assumed=ASSUMED_SIZE)
    parts = wanted_workgroups(CYCLES * math.prod(sizes.values()), machine.workers)
    blocks = parallel_blocks(sizes, {}, parts)
    return Schedule.of({space.names[-1]: 1}, blocks, tuple(blocks))
