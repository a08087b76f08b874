"""The workgroups of a schedule: how many they are, and how evenly they occupy the workers."""

from __future__ import annotations

import heapq
import itertools
import math

from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.mlir import DYNAMIC

MOST_COUNTED = 4096
"""From so many workgroups on, they occupy any number of workers evenly."""


def workgroup_count(space: IterationSpace, schedule: Schedule) -> int | None:
    """How many there are; None if that depends on a `?`."""
    extents = _extents(space, schedule)
    return None if extents is None else math.prod(map(len, extents))


def imbalance(space: IterationSpace, schedule: Schedule, workers: int) -> float:
    """The time of workers that take one workgroup after the other, over that of an even share, if all are busy.

    Fewer workgroups than workers have a worker each. 1 where a size is not known.
    """
    extents = _extents(space, schedule)
    if extents is None or math.prod(map(len, extents)) >= MOST_COUNTED:
        return 1.0
    loads = [math.prod(extent) for extent in itertools.product(*extents)]
    busy = [0] * min(workers, len(loads))
    for load in loads:
        heapq.heapreplace(busy, busy[0] + load)
    return max(busy) * len(busy) / max(sum(loads), 1)


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
