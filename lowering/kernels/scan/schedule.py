"""The schedule of scans on vectors."""

from __future__ import annotations

import math

from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import parallel_blocks, wanted_workgroups
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
ACROSS = 4
"""Vectors across lines that are in flight together."""

ALONG = 2
"""Vectors along a row. Between tiles there is one addition to wait for, and none between rows: these are one by one."""

CYCLES = 2
"""Of a core per element, about."""


def schedule_for_vectors(space: IterationSpace, machine: VectorMachine, unroll: int = 1) -> Schedule:
    """Several vectors along a row or across lines, `unroll` times the usual. Blocks of what is apart for workgroups."""
    sizes, last = space.known(assumed=ASSUMED_SIZE), space.names[-1]
    vectors = 1 if space.size(last) == DYNAMIC else unroll * (ALONG if last == "n" else ACROSS)
    tile = {last: min(sizes[last], vectors * machine.lanes)}
    parts = wanted_workgroups(CYCLES * math.prod(sizes.values()), machine.workers)
    blocks = parallel_blocks({name: size for name, size in sizes.items() if name != "n"}, tile, parts)
    return Schedule.of(tile, blocks, tuple(blocks))
