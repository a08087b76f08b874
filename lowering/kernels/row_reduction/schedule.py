"""The schedule of softmax and norms along rows."""

from __future__ import annotations

from terrace.lowering.kernels.schedule import IterationSpace, Schedule
from terrace.lowering.kernels.work_division import block_size, sum_block, wanted_workgroups
from terrace.mlir import DYNAMIC
from terrace.target import CpuDescription

ASSUMED_SIZE = 128
UNROLL = 4
"""Vectors along a row that are in flight together: enough to hide the latency of an addition."""

OPERATIONS = 32
"""Operations per element of softmax, in units of which work is counted."""


def schedule_row_reduction(space: IterationSpace, arguments: int, cpu: CpuDescription) -> Schedule:
    """Several vectors along a row, long ones in parts; blocks of rows for the workgroups."""
    rows, columns = (ASSUMED_SIZE if size == DYNAMIC else size for size in space.sizes)
    tile = UNROLL * cpu.lanes
    if space.size("n") == DYNAMIC:
        tile = cpu.lanes
    elif columns < tile:
        tile = columns
    block = block_size(rows, 1, wanted_workgroups(OPERATIONS * rows * columns, cpu.workers))
    blocks = {"m": block} if block else {}
    parallel, part = tuple(blocks), sum_block(space.size("n"), tile)
    return Schedule({"n": tile}, blocks | ({"n": part} if part else {}), parallel, (None,) * arguments)
