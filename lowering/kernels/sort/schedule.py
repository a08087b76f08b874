"""The schedule of orders on vectors."""

from __future__ import annotations

import math

from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import parallel_blocks, wanted_workgroups
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
ALONG = 4
"""Vectors of a row that are compared together with the last of the first."""

CYCLES = {True: 20, False: 2}
"""Of a core per element, about, of a whole order and of the first few."""


def schedule_for_vectors(space: IterationSpace, whole: bool, machine: VectorMachine, along: int = ALONG) -> Schedule:
    """A few vectors along a row; across lines one, or none where lines are ordered one by one."""
    sizes, last = space.known(assumed=ASSUMED_SIZE), "l" if "l" in space.names else "n"
    vectors = 1 if last == "l" or space.size(last) == DYNAMIC else along
    tile = {} if last == "l" and whole else {last: min(sizes[last], vectors * machine.lanes)}
    parts = wanted_workgroups(CYCLES[whole] * math.prod(sizes.values()), machine.workers)
    blocks = parallel_blocks({name: size for name, size in sizes.items() if name in ("m", "l")}, tile, parts)
    return Schedule.of(tile, blocks, tuple(blocks))
