"""The schedule of reductions over any axes."""

from __future__ import annotations

import math

from terrace.lowering.schedule.parallel import block_size, wanted_workgroups
from terrace.lowering.schedule.schedule import IterationSpace, Schedule
from terrace.mlir import DYNAMIC
from terrace.target import CpuDescription

ASSUMED_SIZE = 128
UNROLL = 4
"""Vectors along the last dimension that are in flight together: enough to hide the latency of an addition."""


def schedule_reduce(space: IterationSpace, is_product: bool, arguments: int, cpu: CpuDescription) -> Schedule:
    """Several vectors along the last dimension; blocks of what stays, outermost first, for the workgroups."""
    sizes = [ASSUMED_SIZE if size == DYNAMIC else size for size in space.sizes]
    last = space.names[-1]
    tile = min(UNROLL * cpu.lanes, sizes[-1])
    if space.sizes[-1] == DYNAMIC:
        tile = cpu.lanes
    if is_product and space.kinds[-1] == "reduction":
        tile = 1  # no tile op multiplies a row
    parts = wanted_workgroups(4 * math.prod(sizes), cpu.workers)
    blocks: dict[str, int] = {}
    for name, kind, size in zip(space.names, space.kinds, sizes, strict=True):
        if kind == "reduction" or len(blocks) == 3:
            continue
        block = block_size(size, tile if name == last else 1, parts)
        if block:
            blocks[name] = block
            parts = -(-parts * block // size)
    return Schedule({last: tile}, blocks, tuple(blocks), (None,) * arguments)
