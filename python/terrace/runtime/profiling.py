"""Timing every kernel of a program where it runs: in the whole program, by IREE's own profiler.

IREE's tools run the program in a process of its own, with the same weights, inputs and number of threads, and write
when each dispatch began and ended. Mutable state starts there as it was initially, and this process's is not touched.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import signal
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from terrace.errors import TerraceError
from terrace.runtime.device import ALLOCATOR
from terrace.runtime.limits import measure_limits
from terrace.runtime.profile import Event, Profile, make_profile
from terrace.runtime.session import PARAMETER_SCOPE
from terrace.storage.artifact import Artifact
from terrace.storage.parameter_archive import Array, MappedParameters, write_archive
from terrace.structure import dtype_name
from terrace.target import WORKER_BYTES, registered_as, targets_with

SECONDS = 1.0
"""About how long each of the two measured runs takes."""

LEAST_CALLS, MOST_CALLS = 10, 200
REPETITIONS = 5
WARM_UP = 2
"""The first calls of a run, which touch the weights for the first time, are not counted."""

_ELEMENTS = {
    **{f"float{bits}": f"f{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"ui{bits}" for bits in (8, 16, 32, 64)},
    "bool": "i1",
    "bfloat16": "bf16",
}
"""IREE's names of the element types."""


def profile_program(artifact: Artifact, entry: str, inputs: Sequence[Array], threads: int) -> Profile:
    """Time the kernels of a program on these inputs. Raises `TerraceError` where that is not available."""
    name = artifact.target.get("name", "unknown")
    if not registered_as(artifact.target).profiles:
        raise TerraceError(
            f"profile is not available for the target {name!r}: it times kernels of {targets_with('profiles')} only"
        )
    limits = measure_limits(artifact.target, threads)
    with tempfile.TemporaryDirectory(prefix="terrace-profile-") as folder:
        run = _Run(Path(folder), artifact, entry, inputs, threads)
        try:
            pilot = run.benchmark(3, 1)
        except _IllegalInstruction as error:
            features = artifact.target.get("features", ())
            without = sorted(name for name in features if not name.startswith("amx"))
            if len(without) == len(features):
                raise
            raise TerraceError(
                f"{error}. It does not ask Linux for AMX, which the program may use; one that is compiled with"
                f" terrace.Target(features={tuple(without)}) can be profiled"
            ) from None
        calls = int(min(max(SECONDS / max(min(pilot), 1e-9), LEAST_CALLS), MOST_CALLS))
        whole = run.benchmark(max(calls // REPETITIONS, 1), REPETITIONS)
        events = run.dispatches(calls + WARM_UP)
    counted = split_calls(events, calls + WARM_UP)[WARM_UP:]
    return make_profile(artifact.entries[entry].report, counted, whole, limits)


class _IllegalInstruction(TerraceError):
    """A tool met an instruction that it may not use."""


@dataclasses.dataclass(frozen=True)
class _Run:
    """A program in a folder, ready for IREE's tools."""

    folder: Path
    artifact: Artifact
    entry: str
    inputs: Sequence[Array]
    threads: int

    def __post_init__(self) -> None:
        (self.folder / self.artifact.program_name).write_bytes(self.artifact.program)
        parameters = self.artifact.parameters
        with open(self.folder / "parameters.irpa", "x+b") as file:
            if isinstance(parameters, MappedParameters):
                file.write(parameters.archive)
            else:
                write_archive(file, parameters)
        for number, value in enumerate(self.inputs):
            (self.folder / f"{number}.bin").write_bytes(value.tobytes())

    def _flags(self) -> list[str]:
        flags = [f"--module={self.folder / self.artifact.program_name}", f"--function={self.entry}"]
        if self.artifact.parameters:
            flags.append(f"--parameters={PARAMETER_SCOPE}={self.folder / 'parameters.irpa'}")
        flags.append("--device=local-sync" if self.threads == 1 else "--device=local-task")
        flags.append(f"--device_allocator={ALLOCATOR}")
        if self.threads > 1:
            flags += [f"--task_topology_group_count={self.threads}", f"--task_worker_local_memory={WORKER_BYTES}"]
        for number, value in enumerate(self.inputs):
            type_ = "x".join([*map(str, value.shape), _ELEMENTS[dtype_name(value)]])
            flags.append(f"--input={type_}=@{self.folder / f'{number}.bin'}")
        return flags

    def benchmark(self, calls: int, repetitions: int) -> list[float]:
        """Seconds of a call, by repetition, each the mean of `calls`; nothing is traced."""
        repeat = [f"--benchmark_min_time={calls}x", f"--benchmark_repetitions={repetitions}"]
        output = _tool("iree-benchmark-module", *self._flags(), *repeat, "--benchmark_format=json")
        rows = json.loads(output[output.index("{") :])["benchmarks"]
        units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
        return [row["real_time"] * units[row["time_unit"]] for row in rows if row["run_type"] == "iteration"]

    def dispatches(self, calls: int) -> list[Event]:
        """When each dispatch of so many calls began and ended."""
        bundle = self.folder / "profile.ireeprof"
        profiling = ["--device_profiling_mode=host-execution", f"--device_profiling_output={bundle}"]
        _tool("iree-benchmark-module", *self._flags(), f"--benchmark_min_time={calls}x", *profiling)
        lines = _tool("iree-profile", "export", "--format=ireeperf-jsonl", str(bundle)).splitlines()
        records = [json.loads(line) for line in lines]
        return [
            Event(record["key"], record["start_host_time_ns"], record["end_host_time_ns"])
            for record in records
            if record["record_type"] == "host_execution_event" and record["op"] == "dispatch"
        ]


def split_calls(events: Sequence[Event], calls: int) -> list[list[Event]]:
    """The events by call, in the order in which they began.

    Every call does the same, so each name has as many events in one as in another; what is left over ran before the
    first call, when the program was loaded. Name by name, as dispatches that need not wait may change places.
    """
    names: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.start):
        names[event.name].append(event)
    split: list[list[Event]] = [[] for _ in range(calls)]
    for own in names.values():
        each = len(own) // calls
        for number, event in enumerate(own[len(own) - each * calls :]):
            split[number // each].append(event)
    return [sorted(call, key=lambda event: event.start) for call in split]


def _tool(name: str, *arguments: str) -> str:
    """The output of one of the tools of the iree-base-runtime package."""
    package = importlib.util.find_spec("iree._runtime_libs")
    folders = (package and package.submodule_search_locations) or []
    found = [path for folder in folders if (path := Path(folder) / name).exists()]
    if not found:
        raise TerraceError(f"there is no {name}; install it with `pip install iree-base-runtime==3.13.0`")
    done = subprocess.run([str(found[0]), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        said = lines[-1] if lines else f"exit code {done.returncode}"
        if done.returncode < 0:
            said = f"it died of {signal.Signals(-done.returncode).name}"
        kind = _IllegalInstruction if done.returncode == -signal.SIGILL else TerraceError
        raise kind(f"{name} could not run the program: {said}")
    return done.stdout
