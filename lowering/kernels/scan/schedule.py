"""The schedule of scans on vectors."""

from __future__ import annotations

import math

from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import parallel_blocks, wanted_workgroups
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
UNROLL = 4
"""Vectors across lines that are in flight together."""

ROWS = 2
"""Rows side by side: while one waits for what is so far, another goes on."""

CYCLES = 2
"""Of a core per element, about."""


def schedule_for_vectors(space: IterationSpace, machine: VectorMachine, unroll: int = UNROLL) -> Schedule:
    """Several vectors across lines; or one along each of several rows. Blocks of what is apart, for the workgroups."""
    sizes = space.known(assumed=ASSUMED_SIZE)
    last, lanes = space.names[-1], machine.lanes
    if last == "n":
        rows = 1 if space.size("m") == DYNAMIC else min(sizes["m"], ROWS)
        tile = {"m": rows, "n": lanes if space.size("n") == DYNAMIC else min(sizes["n"], lanes)}
    else:
        tile = {"m": 1, "l": lanes if space.size("l") == DYNAMIC else min(sizes["l"], unroll * lanes)}
    parts = wanted_workgroups(CYCLES * math.prod(sizes.values()), machine.workers)
    apart = {name: size for name, size in sizes.items() if name != "n"}
    blocks = parallel_blocks(apart, tile, parts)
    return Schedule.of(tile, blocks, tuple(blocks))
