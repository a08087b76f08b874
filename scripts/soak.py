#!/usr/bin/env python3
"""Call models for long, from threads, with loads and forks meanwhile, and see that nothing grows.

LeNet, a model of any batch and one with state are compiled. Then threads call them, on two workers; every result is
compared. After the first tenth of the calls, memory, descriptors and threads are what they may be.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import terrace
import torch
from torch import nn

GROWTH = 0.01
"""The part by which the resident memory may grow after the first tenth."""

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "models"))


class Counter(nn.Module):
    """Adds what it gets to its state."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count.add_(x)
        return self.count * 1


def compile_models(folder: Path) -> None:
    """Write the three models, for two workers."""
    import lenet

    target = terrace.Target(threads=2)
    rows = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 16)).eval()
    sizes = ({0: torch.export.Dim("n", min=1, max=64)},)
    models = {
        "lenet": terrace.compile(*lenet.build(), target=target),
        "rows": terrace.compile(rows, (torch.randn(4, 32),), dynamic_shapes=sizes, target=target),
        "counter": terrace.compile(Counter().eval(), (torch.ones(8),), target=target),
    }
    for name, model in models.items():
        model.save(folder / f"{name}.terrace")


class Soak:
    """The models, and what they must give."""

    def __init__(self, folder: Path, calls: int, loads: int, fork_every: int) -> None:
        self.folder = folder
        self.load_every = max(calls // max(loads, 1), 1)
        self.fork_every = fork_every
        self.models = {name: self._load(name) for name in ("lenet", "rows", "counter")}
        generator = np.random.default_rng(0)
        self.image = generator.standard_normal((1, 1, 32, 32), np.float32)
        self.rows = generator.standard_normal((64, 32), np.float32)
        self.lenet = self.models["lenet"](self.image)
        self.by_rows = [self.models["rows"](self.rows[:size]) for size in range(1, 65)]
        self.lock = threading.Lock()
        self.calls = self.loads = self.forks = 0

    def _load(self, name: str) -> Any:
        return terrace.load(self.folder / f"{name}.terrace")

    def call(self, number: int) -> None:
        """One call of one of the models. Raises AssertionError if its result is not right."""
        if number % 3 == 0:
            assert np.array_equal(self.models["lenet"](self.image), self.lenet), "lenet"
        elif number % 3 == 1:
            size = number // 3 % 64
            assert np.array_equal(self.models["rows"](self.rows[: size + 1]), self.by_rows[size]), f"{size + 1} rows"
        else:
            count = self.models["counter"](np.ones(8, np.float32))
            assert count[0] >= 1 and (count == count[0]).all(), f"counter: {count}"

    def work(self, count: int) -> None:
        """So many calls, with the loads and forks that are due."""
        for _ in range(count):
            with self.lock:
                self.calls += 1
                number = self.calls
            self.call(number)
            if number % self.load_every == 0:
                name = list(self.models)[self.loads % 3]
                self.models[name] = self._load(name)
                self.loads += 1
            if number % self.fork_every == 0:
                self.fork(number)

    def fork(self, number: int) -> None:
        """Fork a child that makes one call and exits. Raises AssertionError if it does not exit with 0."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                self.call(number + self.forks)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert status == 0, f"a child ended with status {status}"
        self.forks += 1


def measure() -> tuple[int, int, int]:
    """Resident KiB, open descriptors and threads of this process."""
    gc.collect()
    # What the allocator keeps for later is no growth.
    ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    resident = int(status.partition("VmRSS:")[2].split()[0])
    return resident, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def main() -> int:
    """Soak; 1 if something grew."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--loads", type=int, default=500)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--fork-every", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="terrace-soak-") as folder:
        compile_models(Path(folder))
        soak = Soak(Path(folder), options.calls, options.loads, options.fork_every)
        started, found = time.monotonic(), []
        with ThreadPoolExecutor(options.threads) as pool:
            # The pool starts a thread only while all others are busy: here all are, so that none is started later.
            everyone = threading.Barrier(options.threads)
            list(pool.map(lambda _: everyone.wait(), range(options.threads)))
            for tenth in range(1, 11):
                list(pool.map(soak.work, [options.calls // 10 // options.threads] * options.threads))
                found.append(measure())
                resident, descriptors, threads = found[-1]
                print(
                    f"{tenth}/10, {time.monotonic() - started:.0f} s: {soak.calls} calls, {soak.loads} loads,"
                    f" {soak.forks} forks; {resident} KiB, {descriptors} descriptors, {threads} threads",
                    flush=True,
                )
    growth = found[-1][0] / found[0][0] - 1
    print(f"resident memory after the first tenth: {growth:+.2%}")
    return int(growth > GROWTH or found[-1][1] > found[0][1] or found[-1][2] > found[0][2])


if __name__ == "__main__":
    sys.exit(main())
