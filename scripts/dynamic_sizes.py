#!/usr/bin/env python
"""How much slower one program for many sizes is than one for each: example models, at sizes drawn after compiling.

    scripts/dynamic_sizes.py [--count 20] [name ...]

Each size is compiled for itself and timed in turns with the program for all, on one thread; the least of some rounds
counts. Results are held against eager's.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import terrace
import torch
from terrace.runtime.model import CompiledModel
from terrace.tools.bench.command import MALLOC
from terrace.tools.bench.models import example
from torch.export import Dim

ROUNDS, SECONDS = 9, 0.05
"""How often each program is timed at a size, and for how long at least."""

Sizes = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Case:
    """An example model whose argument is dynamic along these axes, each within its bounds; `like` gives an argument."""

    stem: str
    bounds: dict[int, tuple[int, int]]
    like: Callable[[Sequence[int]], torch.Tensor]
    options: dict[str, int] = dataclasses.field(default_factory=dict)


def tokens(shape: Sequence[int]) -> torch.Tensor:
    return torch.randint(0, 1000, tuple(shape))


def image(shape: Sequence[int]) -> torch.Tensor:
    return torch.randn(*shape)


BATCH, SIDES = {0: (1, 8)}, {2: (97, 256), 3: (97, 256)}
CASES = {
    "lenet, batch": Case("lenet", {0: (1, 64)}, image),
    "mlp, batch": Case("mlp", {0: (1, 64)}, image),
    "resnet18, batch": Case("resnet18", BATCH, image),
    "mobilenet_v2, batch": Case("mobilenet_v2", BATCH, image),
    "resnet18, image": Case("resnet18", SIDES, image),
    "mobilenet_v2, image": Case("mobilenet_v2", SIDES, image),
    "super_resolution, image": Case("super_resolution", SIDES, image),
    "bert_base, length": Case("bert_base", {1: (8, 256)}, tokens),
    "gpt2_small, length": Case("gpt2_small", {1: (8, 256)}, tokens, {"length": 128}),
}


def seconds(model: CompiledModel, x: torch.Tensor) -> float:
    """The time of a call, the mean of as many as take `SECONDS`."""
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        model(x)
        calls += 1
    return (time.perf_counter() - start) / calls


def file_size(model: CompiledModel, folder: str) -> int:
    path = Path(folder) / "model.terrace"
    model.save(path)
    return path.stat().st_size


def first(result: Any) -> torch.Tensor:
    return torch.as_tensor(result[0] if isinstance(result, tuple) else result)


def measure(name: str, case: Case, count: int) -> None:
    """Print the ratios of one case: of the time at each size, and of the file at the example's size."""
    model, (x,) = example(case.stem, **case.options)
    target = terrace.Target(threads=1)
    dims = {axis: Dim(f"d{axis}", min=low, max=max(high, x.shape[axis])) for axis, (low, high) in case.bounds.items()}
    compiled = terrace.compile(model.eval(), (x,), dynamic_shapes=(dims,), target=target)
    draw, ratios = random.Random(0), []
    with tempfile.TemporaryDirectory() as folder:
        static = terrace.compile(model, (x,), target=target)
        files = file_size(compiled, folder) / file_size(static, folder)
        for _ in range(count):
            sizes = {axis: draw.randint(*bounds) for axis, bounds in case.bounds.items()}
            x = case.like([sizes.get(axis, size) for axis, size in enumerate(x.shape)])
            own = terrace.compile(model, (x,), target=target)
            with torch.no_grad():
                wanted = first(model(x))
            for program in (compiled, own):
                assert (first(program(x)) - wanted).abs().max() <= 1e-4 * wanted.abs().max() + 1e-5, (name, sizes)
            rounds = [(seconds(compiled, x), seconds(own, x)) for _ in range(ROUNDS)]
            ratios.append((min(a for a, _ in rounds) / min(b for _, b in rounds), tuple(sizes.values())))
    mean = math.exp(sum(math.log(ratio) for ratio, _ in ratios) / len(ratios))
    worst, where = max(ratios)
    print(f"| {name} | {mean:.2f} | {worst:.2f} at {where} | {files:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"{'; '.join(CASES)} (default: all)")
    parser.add_argument("--count", type=int, default=20, help="sizes drawn for each model")
    args = parser.parse_args()
    if not MALLOC.items() <= os.environ.items():  # glibc would give memory back between calls, and ask for it again
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})
    torch.set_num_threads(1)
    print("| model, what is dynamic | time, mean | largest | file |\n|---|--:|--:|--:|")
    for name in args.names or CASES:
        if name not in CASES:
            parser.error(f"no case '{name}'; known are {'; '.join(CASES)}")
        measure(name, CASES[name], args.count)


if __name__ == "__main__":
    main()
