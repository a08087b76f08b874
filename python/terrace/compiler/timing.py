"""Interleaved timing: contestants take turns in one process, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

Call = Callable[[], object]

MINIMUM_SECONDS = 0.02
"""A turn repeats its call until it takes about this long: far above the clock's resolution."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds per call: the median and the least of the rounds, by the wall clock and by the CPU time of all threads
    of this process, as some contestants compute in threads of their own."""

    wall_median: float
    wall_min: float
    cpu_median: float
    cpu_min: float
    rounds: int


def interleave(
    calls: Mapping[str, Call], rounds: int, minimum_seconds: float = MINIMUM_SECONDS, pause: float = 0.0
) -> dict[str, Timing]:
    """Time each of `calls` once in every round, A B A B ..., after an untimed first call of each.

    An untimed call begins a turn: the caches hold what the contestant before used. `pause` seconds before it let
    threads that wait for more work by spinning go to sleep; 0 where there is one thread.
    """
    repeats = {name: _repeats(call, minimum_seconds) for name, call in calls.items()}
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(pause)
            call()
            turns[name].append(_turn(call, repeats[name]))
    return {name: _timing(seconds) for name, seconds in turns.items()}


def _repeats(call: Call, minimum_seconds: float) -> int:
    call()
    wall, _ = _turn(call, 1)
    return max(1, round(minimum_seconds / max(wall, 1e-7)))


def _turn(call: Call, repeats: int) -> tuple[float, float]:
    """Wall and CPU seconds per call."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats


def _timing(seconds: list[tuple[float, float]]) -> Timing:
    walls, cpus = zip(*seconds, strict=True)
    return Timing(statistics.median(walls), min(walls), statistics.median(cpus), min(cpus), len(seconds))
