"""The schedule of elementwise kernels."""

from __future__ import annotations

import math

from terrace.lowering.kernels.schedule import IterationSpace, Schedule
from terrace.lowering.kernels.work_division import block_size, wanted_workgroups
from terrace.mlir import DYNAMIC
from terrace.target import CpuDescription

ASSUMED_SIZE = 128
UNROLL = 4
"""Vectors along the last dimension that are in flight together."""


def schedule_elementwise(space: IterationSpace, arguments: int, cpu: CpuDescription) -> Schedule:
    """Vectors along the last dimension, several at once; blocks of the outermost dimension that is long enough."""
    sizes = [ASSUMED_SIZE if size == DYNAMIC else size for size in space.sizes]
    last = space.names[-1]
    tile = min(UNROLL * cpu.lanes, max(1, sizes[-1]))
    if space.sizes[-1] == DYNAMIC:
        tile = cpu.lanes
    parts = wanted_workgroups(4 * math.prod(sizes) * (arguments + 1), cpu.workers)
    blocks: dict[str, int] = {}
    for name, size in zip(space.names, sizes, strict=True):
        block = block_size(size, tile if name == last else 1, parts)
        if block:
            blocks[name] = block
            parts = parts * block // size
        if parts <= 1 or len(blocks) == 3:
            break
    return Schedule({last: tile}, blocks, tuple(blocks), (None,) * arguments)
