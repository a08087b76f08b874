"""The workgroups of a schedule: how many they are, and how evenly they occupy the workers."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math

from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import MINIMUM_CYCLES
from terrace.mlir import DYNAMIC

EVEN = 1.1
"""The imbalance from which on other blocks are looked for."""

MOST_PARTS, MOST_PER_WORKER = 256, 8
"""How many parts of a dimension are looked at, and how many workgroups a worker gets at most."""

MOST_COUNTED = 4096
"""From so many workgroups on, they occupy any number of workers evenly."""


def workgroup_count(space: IterationSpace, schedule: Schedule) -> int | None:
    """How many there are; None if that depends on a `?`."""
    extents = _extents(space, schedule)
    return None if extents is None else math.prod(map(len, extents))


def imbalance(space: IterationSpace, schedule: Schedule, workers: int) -> float:
    """The part of the work that falls to the busiest worker, over an even part of it.

    Workers take one workgroup after the other; fewer workgroups than workers have a worker each. 1 where a size is not
    known, or nothing is to do.
    """
    count = workgroup_count(space, schedule)
    return 1.0 if count is None else _busiest(space, schedule, workers) * min(workers, count or 1)


def _busiest(space: IterationSpace, schedule: Schedule, workers: int) -> float:
    """The part of the work that falls to the busiest worker."""
    extents = _extents(space, schedule) or []
    count = math.prod(map(len, extents))
    if not 0 < count < MOST_COUNTED:
        return 1 / min(workers, count or 1)
    loads = [math.prod(extent) for extent in itertools.product(*extents)]
    busy = [0] * min(workers, count)
    for load in loads:
        heapq.heapreplace(busy, busy[0] + load)
    return max(busy) / sum(loads)


def _extents(space: IterationSpace, schedule: Schedule) -> list[list[int]] | None:
    """The sizes of the blocks along each dimension that is spread over workgroups."""
    cut = schedule.cut("local")
    found = []
    for name in cut.parallel:
        size, block = space.size(name), cut.sizes.get(name, 0)
        if size == DYNAMIC:
            return None
        whole, rest = divmod(size, block or max(size, 1))
        found.append([block or size] * whole + [rest] * (rest > 0))
    return found


def balanced(space: IterationSpace, schedule: Schedule, cycles: float, workers: int) -> Schedule:
    """The schedule with other blocks along the dimensions that are spread, if its own occupy the workers unevenly.

    Of those that leave the busiest worker the least, or an even part but for `EVEN`, the fewest. A workgroup has at
    least `MINIMUM_CYCLES` of the kernel's `cycles`, or as many as before, and holds no more in its memory than before.
    """
    cut = schedule.cut("local")
    if workers == 1 or imbalance(space, schedule, workers) <= EVEN:
        return schedule
    keeps = bool(schedule.staged or schedule.leaving)
    choices = [_blocks(space.size(n), schedule.tile(n), cut.sizes.get(n, 0) if keeps else 0) for n in cut.parallel]
    least = min(MINIMUM_CYCLES / max(cycles, 1), _share(space, schedule))
    found = [(_busiest(space, schedule, workers), math.inf, schedule)]
    even = EVEN / workers
    for blocks in itertools.product(*choices):
        sizes = {**cut.sizes, **dict(zip(cut.parallel, blocks, strict=True))}
        other = schedule.with_cut(dataclasses.replace(cut, sizes=sizes))
        count = workgroup_count(space, other) or 0
        if count <= MOST_PER_WORKER * workers and _share(space, other) >= least:
            found.append((max(even, _busiest(space, other, workers)), count, other))
    return min(found, key=lambda choice: choice[:2])[2]


def _share(space: IterationSpace, schedule: Schedule) -> float:
    """The part of the work that a workgroup has which is not at the end of a dimension."""
    extents = _extents(space, schedule) or []
    return math.prod(extent[0] / sum(extent) for extent in extents if extent)


def _blocks(size: int, tile: int, most: int) -> list[int]:
    """Blocks of whole tiles that cut a size into 1, 2, 3, ... parts, no larger than `most` unless that is 0."""
    tiles = max(-(-size // tile), 1)
    sizes = {-(-tiles // parts) * tile for parts in range(1, min(tiles, MOST_PARTS) + 1)}
    return sorted(size for size in sizes if not most or size <= most) or [most]
