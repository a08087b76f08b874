"""The schedule of elementwise kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from terrace.element_types import ElementType
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import BYTES_PER_CYCLE, MAX_PARALLEL, parallel_blocks, wanted_workgroups
from terrace.lowering.kernels.workgroup_tile import ELEMENTS, block_of_tiles
from terrace.machine import VectorMachine, WorkgroupMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
UNROLL = 4
"""Vectors along the last dimension that are in flight together."""


def schedule_for_vectors(
    space: IterationSpace, types: Sequence[ElementType], machine: VectorMachine, unroll: int = UNROLL
) -> Schedule:
    """Vectors along the last dimension, several at once; blocks of the outermost dimension that is long enough.

    `types` are those of all tensors that are read and written.
    """
    sizes = [ASSUMED_SIZE if size == DYNAMIC else size for size in space.sizes]
    last = space.names[-1]
    tile = min(unroll * machine.lanes, max(1, sizes[-1]))
    if space.sizes[-1] == DYNAMIC:
        tile = machine.lanes
    moved = math.prod(sizes) * sum(type_.bytes for type_ in types)
    parts = wanted_workgroups(moved / BYTES_PER_CYCLE, machine.workers)
    blocks = parallel_blocks(dict(zip(space.names, sizes, strict=True)), {last: tile}, parts)
    return Schedule.of({last: tile}, blocks, tuple(blocks))


def schedule_for_workgroups(space: IterationSpace, machine: WorkgroupMachine) -> Schedule:
    """Tiles of a few elements per invocation, from the last dimension outwards; a workgroup per tile."""
    room = ELEMENTS * machine.workgroup_size
    tiles: dict[str, int] = {}
    blocks: dict[str, int] = {}
    for name, size in reversed(list(zip(space.names, space.sizes, strict=True))):
        tile = min(size if size != DYNAMIC else machine.workgroup_size, room)
        tiles[name] = max(tile, 1)
        room = max(1, room // tiles[name])
        if (size == DYNAMIC or size > tile) and len(blocks) < MAX_PARALLEL:
            blocks[name] = block_of_tiles(tiles[name], size)
    tiles = {name: tiles[name] for name in space.names}
    return Schedule.of(tiles, blocks, [name for name in space.names if name in blocks])
