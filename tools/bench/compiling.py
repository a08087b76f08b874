"""`terrace-bench --compile`: the time and memory of `terrace.compile`, cold and from its cache.

Each compile is the first of a process of its own, whose imports are done: those of torch and Terrace, and what
torch.export imports when it is first used. Cold means an empty cache; cached, the next process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from terrace.errors import TerraceError
from terrace.processes import python_command

MODELS = ("lenet", "mobilenet_v2", "resnet18", "resnet50", "vgg16", "bert_base")
"""The example models that are compiled unless others are named."""

HEADER = ["model", "cold s", "CPU s", "cached s", "CPU s", "imports s", "peak MB", "cached MB", "iree-compile MB"]

EPILOG = """\
With --compile: `cold s` is terrace.compile with an empty cache, `cached s` the same call in the next process, `CPU s`
what either took of all cores, `imports s` what both had imported before. Peaks are of the whole Python process, with
the model in it, by getrusage, and of iree-compile beside it."""


@dataclasses.dataclass(frozen=True)
class Compilation:
    """One compile: seconds, and peaks in bytes of this process and of iree-compile."""

    imports: float
    seconds: float
    cpu: float
    peak: int
    compiler_peak: int
    hits: int


def measure(name: str, rounds: int) -> list[tuple[Compilation, Compilation]]:
    """Cold and cached compiles of an example model. Raises TerraceError if it cannot be compiled."""
    pairs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="terrace-bench-") as folder:
            cold, cached = _in_process(name, folder), _in_process(name, folder)
        if (cold.hits, cached.hits) != (0, 1):
            raise TerraceError(f"{name} is not found in the cache: {cold.hits} and {cached.hits} hits")
        pairs.append((cold, cached))
    return pairs


def row(name: str, pairs: Sequence[tuple[Compilation, Compilation]]) -> list[str]:
    """The medians, under `HEADER`."""
    cold, cached = zip(*pairs, strict=True)

    def median(compilations: Sequence[Compilation], field: str) -> float:
        return statistics.median(getattr(compilation, field) for compilation in compilations)

    seconds = [median(which, field) for which in (cold, cached) for field in ("seconds", "cpu")]
    seconds.append(median(cold, "imports"))
    peaks = [median(cold, "peak"), median(cached, "peak"), median(cold, "compiler_peak")]
    return [name, *(f"{value:.2f}" for value in seconds), *(f"{value / 1e6:.0f}" for value in peaks)]


def _in_process(name: str, cache: str) -> Compilation:
    # This process must stay small: Linux counts the memory of the process that starts another to the other's peak.
    command = python_command("terrace.tools.bench.compiling", [name])
    environment = {**os.environ, "TERRACE_CACHE_DIR": cache}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TerraceError(f"compiling {name} failed:\n{done.stderr.strip()}")
    return Compilation(**json.loads(done.stdout))


# ---------------------------------------------------------------------------------------------------------------------
# In the process that compiles
# ---------------------------------------------------------------------------------------------------------------------


def _compile(name: str) -> Compilation:
    started = time.perf_counter()
    import terrace
    import terrace.frontend
    import torch
    from terrace.tools.bench.models import example

    torch.export.export(torch.nn.Identity(), (torch.ones(1),))
    compile_model: Any = terrace.compile
    imports = time.perf_counter() - started
    model, args = example(name)
    with _peak_of_children() as peak:
        started, cpu = time.perf_counter(), _cpu_seconds()
        compile_model(model, args)
        seconds, cpu = time.perf_counter() - started, _cpu_seconds() - cpu
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Compilation(imports, seconds, cpu, own, peak[0], terrace.cache.info().hits)


def _cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


@contextlib.contextmanager
def _peak_of_children() -> Iterator[list[int]]:
    """The most memory of any program that this thread starts, looked at every 10 ms."""
    peak, over = [0], threading.Event()
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")

    def watch() -> None:
        while not over.wait(0.01):
            peak[0] = max([peak[0], *map(_peak_of, children.read_text().split())])

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _peak_of(process: str) -> int:
    """The peak of a process in bytes; 0 if it is gone, or is still this program, about to become another."""
    try:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    except OSError:
        return 0
    is_ours = fields["Name"].strip() == Path("/proc/self/comm").read_text().strip()
    return 0 if is_ours or "VmHWM" not in fields else 1024 * int(fields["VmHWM"].split()[0])


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(_compile(sys.argv[1]))))
