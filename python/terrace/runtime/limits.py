"""What this machine can do at most, measured in this process: float32 multiply-adds, and copying memory."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from terrace.installed import needing_compiler
from terrace.runtime.program import Program
from terrace.signature import Leaf, Signature
from terrace.storage.artifact import Artifact, one_entry
from terrace.structure import Tree
from terrace.target import Target

COPIED = (1 << 19, 1 << 22, 1 << 25, 1 << 28)
"""Bytes read and written by the copies that are timed: from what a cache holds to what none does."""

SECONDS = 0.3
"""How long each measurement takes: rounds of a few milliseconds, the fastest of which counts."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """The roofline of the machine on `threads` threads.

    `flops`: float32 operations per second, two to a multiply-add: what one core reaches, by its CPU time, times the
    threads, as if cores did not slow each other. `bandwidth`: bytes per second, read and written
    together, of a copy that moves so many bytes, again and again: small ones stay in a cache.
    """

    threads: int
    flops: float
    bandwidth: Mapping[int, float]

    def bytes_per_second(self, moved: float) -> float:
        """The bandwidth of a copy of this size, between the two that were measured around it."""
        sizes = sorted(self.bandwidth)
        low = max((size for size in sizes if size <= moved), default=sizes[0])
        high = min((size for size in sizes if size >= moved), default=sizes[-1])
        if low == high or moved < sizes[0]:
            return self.bandwidth[low]
        part = math.log(moved / low) / math.log(high / low)
        return self.bandwidth[low] ** (1 - part) * self.bandwidth[high] ** part

    def seconds(self, macs: int, moved: int) -> tuple[float, str]:
        """The least time for this work, and what sets it: "compute" or "memory"."""
        compute = 2 * macs / self.flops
        memory = moved / self.bytes_per_second(moved) if moved else 0.0
        return max(compute, memory), "compute" if compute > memory else "memory"


def measure_limits(target: Mapping[str, Any], threads: int) -> Limits:
    """The limits of code for this target (an artifact's), measured once per process and number of threads.

    Raises CompileError without iree-compile, which makes the program of multiply-adds.
    """
    resolved = Target.from_json(target)
    return _measure(dataclasses.replace(resolved, threads=threads), threads)


@functools.cache
def _measure(target: Target, threads: int) -> Limits:
    return Limits(threads, threads * _flops_of_one(target), {size: _copy_bandwidth(size, threads) for size in COPIED})


def _flops_of_one(target: Target) -> float:
    # Only here: it brings the compiler, which calling a model does not need.
    with needing_compiler("profiling, which compares with the machine's limits,"):
        from terrace.lowering.target.cpu.peak import ACCUMULATORS, peak_flops, peak_program

    assert target.cpu is not None, "an artifact's target is resolved"
    shape = (ACCUMULATORS, target.cpu.lanes)
    argument, result = Leaf("tensor", [*shape]), Leaf("tensor", [*shape])
    inputs = Tree("tuple", [Tree("tuple", [Tree("leaf")]), Tree("dict")])
    signature = Signature(inputs, [argument], Tree("leaf"), [result])
    described = {**target.to_json(), "cpu_features": list(target.features or ())}
    program = Program(Artifact(one_entry(signature), program=peak_program(target), target=described), 1)
    start = program.put(np.linspace(0.5, 1.5, math.prod(shape), dtype=np.float32).reshape(shape))
    # By CPU time, as other processes would lower the limit; one thread runs in the caller.
    return peak_flops(target.cpu) / _best(lambda: program.invoke("main", [start], 1), time.thread_time)


def _copy_bandwidth(size: int, threads: int) -> float:
    """Bytes per second, each thread copying its part from one array to another."""
    part = size // 2 // threads
    pairs = [(np.ones(part, np.uint8), np.zeros(part, np.uint8)) for _ in range(threads)]
    repeats = max(1, (1 << 25) // size)

    def copy(pair: tuple[Any, Any]) -> None:
        for _ in range(repeats):
            np.copyto(pair[1], pair[0])

    with ThreadPoolExecutor(threads) as pool:
        return 2 * part * threads * repeats / _best(lambda: list(pool.map(copy, pairs)))


def _best(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """The least seconds of a call, of some rounds: what disturbs only adds."""
    call()
    times: list[float] = []
    while sum(times) < SECONDS:
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)
