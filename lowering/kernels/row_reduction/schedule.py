"""The schedule of softmax and norms along rows."""

from __future__ import annotations

from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import block_size, sum_block, wanted_workgroups
from terrace.lowering.kernels.workgroup_tile import ELEMENTS, block_of_tiles
from terrace.machine import VectorMachine, WorkgroupMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
UNROLL = 4
"""Vectors along a row that are in flight together: enough to hide the latency of an addition."""

OPERATIONS = 32
"""Operations per element of softmax, in units of which work is counted."""


def schedule_for_vectors(space: IterationSpace, machine: VectorMachine) -> Schedule:
    """Several vectors along a row, long ones in parts; blocks of rows for the workgroups."""
    rows, columns = (ASSUMED_SIZE if size == DYNAMIC else size for size in space.sizes)
    tile = UNROLL * machine.lanes
    if space.size("n") == DYNAMIC:
        tile = machine.lanes
    elif columns < tile:
        tile = columns
    block = block_size(rows, 1, wanted_workgroups(OPERATIONS * rows * columns, machine.workers))
    blocks = {"m": block} if block else {}
    parallel, part = tuple(blocks), sum_block(space.size("n"), tile)
    return Schedule.of({"n": tile}, blocks | {"n": part}, parallel)


def schedule_for_workgroups(space: IterationSpace, machine: WorkgroupMachine) -> Schedule:
    """A workgroup per row, whose elements its invocations share."""
    rows, columns = space.sizes
    limit = ELEMENTS * machine.workgroup_size
    tile = machine.workgroup_size if columns == DYNAMIC else max(1, min(columns, limit))
    blocks = {"m": block_of_tiles(1, rows), "n": sum_block(columns, tile)}
    return Schedule.of({"n": tile}, blocks, ("m",))
