"""The schedule of updates at indices on vectors."""

from __future__ import annotations

import math

from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import parallel_blocks, wanted_workgroups
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
UNROLL = 8
"""Vectors along a row that are updated together."""

CYCLES = 4
"""Of one update, of a vector or an element: the old one and the new one come, and one leaves."""


def schedule_for_vectors(
    space: IterationSpace, has_rows: bool, machine: VectorMachine, unroll: int = UNROLL
) -> Schedule:
    """Vectors along a row where its elements have one index, else one element. Workers share the other dimensions:
    along that of the indices two points may meet."""
    sizes, last = space.known(assumed=ASSUMED_SIZE), space.names[-1]
    width = machine.lanes if has_rows else 1
    wanted = machine.lanes if space.size(last) == DYNAMIC else unroll * machine.lanes
    tile = max(1, min(wanted, sizes[last])) if has_rows else 1
    updates = math.prod(sizes.values()) / min(width, max(1, sizes[last]))
    parts = wanted_workgroups(CYCLES * updates, machine.workers)
    kinds = zip(sizes.items(), space.kinds, strict=True)
    apart = dict(item for item, kind in kinds if kind == "parallel")
    blocks = parallel_blocks(apart, {last: tile}, parts)
    return Schedule.of({last: tile}, blocks, tuple(blocks))
