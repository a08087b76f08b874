"""The schedule of norms over groups of channels."""

from __future__ import annotations

from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import block_size, sum_block, wanted_workgroups
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
UNROLL = 4
"""Vectors in flight together: enough to hide the latency of an addition."""

NARROW = 2
"""Vectors that a group's channels of a pixel fill where it is worked on alone; narrower ones are side by side."""

CYCLES = 1
"""Of a core per element, about."""


def schedule_for_vectors(space: IterationSpace, machine: VectorMachine, unroll: int = UNROLL) -> Schedule:
    """Several vectors of the last dimension; groups of few channels side by side where these are the last.

    Blocks of images and groups for the workgroups; a batch of unknown size has workgroups for each image. Long sums are
    made in parts.
    """
    size, outer, inner = space.known(ASSUMED_SIZE), *space.names[2:]
    images = 1 if space.size("n") == DYNAMIC else size["n"]
    side_by_side = inner == "c" and size["c"] < NARROW * machine.lanes
    if side_by_side:
        tile = {"g": min(size["g"], max(1, unroll * machine.lanes // size["c"]))}
        sums = {"s": sum_block(space.size("s"), 1)}
    else:
        width = machine.lanes if space.size(inner) == DYNAMIC else min(size[inner], unroll * machine.lanes)
        tile, block = {inner: width}, sum_block(space.size(inner), width)
        steps = 1 if block else -(-size[inner] // width)
        sums = {outer: sum_block(space.size(outer), 1, steps), inner: block}
    parts = wanted_workgroups(CYCLES * images * size["g"] * size["c"] * size["s"], machine.workers)
    is_alone = space.size("n") == DYNAMIC and machine.workers > 1
    blocks = {"n": 1 if is_alone else block_size(images, 1, parts)}
    if images < parts:
        blocks["g"] = block_size(size["g"], tile.get("g", 1), -(-parts // images))
    blocks = {name: block for name, block in blocks.items() if block}
    return Schedule.of(tile, blocks | sums, tuple(blocks))
