"""What is computed from a profile's events: calls told apart, rows, the machine's limit, and the trace."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from terrace.errors import TerraceError
from terrace.runtime import profiling
from terrace.runtime.limits import Limits
from terrace.runtime.profile import Event, make_profile
from terrace.runtime.profiling import profile_program, split_calls
from terrace.signature import Signature
from terrace.storage.artifact import Artifact, one_entry
from terrace.structure import Tree

LIMITS = Limits(1, 100e9, {1 << 10: 80e9, 1 << 20: 20e9})


def events(*names: str, start: int = 0, each: int = 10) -> list[Event]:
    """Dispatches one after another, of `each` nanoseconds."""
    return [Event(name, start + each * i, start + each * (i + 1)) for i, name in enumerate(names)]


def artifact() -> Artifact:
    empty = Signature(Tree("tuple", [Tree("tuple", []), Tree("dict")]), [], Tree("tuple", []), [])
    return Artifact(one_entry(empty), program=b"")


def row(kernel: str, calls: int, macs: int | None, moved: int | None) -> dict[str, Any]:
    return {"kernel": kernel, "calls": calls, "macs": macs, "bytes": moved, "by": "terrace"}


# -- calls ------------------------------------------------------------------------------------------------------------


def test_calls_are_told_apart() -> None:
    assert split_calls(events("a", "b", "a", "a", "b", "a"), 2) == [
        events("a", "b", "a"),
        events("a", "b", "a", start=30),
    ]


def test_what_ran_before_the_first_call_is_left_out() -> None:
    found = split_calls(events("init", "a", "a", "b", "a", "b"), 2)
    assert [[event.name for event in call] for call in found] == [["a", "b"], ["a", "b"]]


def test_dispatches_that_change_places_stay_in_their_call() -> None:
    found = split_calls(events("a", "b", "b", "a"), 2)
    assert [sorted(event.name for event in call) for call in found] == [["a", "b"], ["a", "b"]]
    assert [call[0].start for call in found] == [0, 20]


# -- limits -----------------------------------------------------------------------------------------------------------


def test_the_slower_of_arithmetic_and_memory_is_the_limit() -> None:
    assert LIMITS.seconds(macs=500, moved=80) == (1e-8, "compute")
    assert LIMITS.seconds(macs=1, moved=1 << 10) == ((1 << 10) / 80e9, "memory")
    assert LIMITS.seconds(macs=0, moved=0) == (0.0, "memory")


@pytest.mark.parametrize(("power", "rate"), [(0, 80e9), (10, 80e9), (15, 40e9), (20, 20e9), (30, 20e9)])
def test_bandwidth_between_the_sizes_that_were_measured(power: int, rate: float) -> None:
    """Half way between 1 KiB and 1 MiB, by logarithms, is the geometric mean of their rates."""
    assert LIMITS.bytes_per_second(1 << power) == pytest.approx(rate)


# -- rows -------------------------------------------------------------------------------------------------------------


def test_rows() -> None:
    """k runs twice a call, 10 ns each: 1000 MACs in 20 ns are 100 GFLOP/s, which is the limit."""
    profile = make_profile(
        [row("k", 2, 1000, 64)], [events("k", "x", "k"), events("k", "x", "k", start=100)], [40e-9], LIMITS
    )
    ours, other = profile.kernels
    assert (ours.kernel, ours.by, ours.calls, ours.macs, ours.bytes, ours.bound) == (
        "k",
        "terrace",
        2,
        1000,
        64,
        "compute",
    )
    assert ours.seconds == pytest.approx(20e-9) and ours.fraction == pytest.approx(1.0)
    assert (other.kernel, other.by, other.macs, other.fraction) == ("x", "iree", None, None)
    assert (profile.total, profile.span) == (pytest.approx(30e-9), pytest.approx(30e-9))
    text = str(profile).splitlines()
    assert text[2].split() == [
        "k",
        "terrace",
        "2",
        "0.0",
        "0.0",
        "66.7%",
        "1,000",
        "64",
        "100.0",
        "3.2",
        "100%",
        "compute",
    ]
    assert text[4] == "2 calls on 1 thread" and text[5].startswith("median: sum of the kernels 0.000 ms, from")


def test_a_loop_runs_a_launch_many_times() -> None:
    """The report counts one launch; three are seen in a call."""
    (kernel,) = make_profile([row("k", 1, 10, 8)], [events("k", "k", "k")], [1.0], LIMITS).kernels
    assert (kernel.calls, kernel.macs, kernel.bytes) == (3, 30, 24)


def test_the_median_call_and_the_best() -> None:
    calls = [events("k", each=each) for each in (10, 1000, 20)]
    (kernel,) = make_profile([row("k", 1, 1, 1)], calls, [1.0], LIMITS).kernels
    assert (kernel.seconds, kernel.best) == (pytest.approx(20e-9), pytest.approx(10e-9))


@pytest.mark.parametrize("target", ["vulkan", "hls"])
def test_only_cpu_programs_have_a_profile(target: str) -> None:
    with pytest.raises(TerraceError, match=f"profile is not available for the target '{target}'"):
        profile_program(dataclasses.replace(artifact(), target={"name": target}), "main", [], 1)


def test_a_tool_that_may_not_use_amx_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux gives AMX to processes that ask for it, which IREE's tool does not."""
    died = subprocess.CompletedProcess([], -signal.SIGILL, "", "")
    monkeypatch.setattr(profiling.subprocess, "run", lambda *args, **options: died)
    monkeypatch.setattr(profiling, "measure_limits", lambda target, threads: LIMITS)
    built = dataclasses.replace(artifact(), target={"name": "cpu", "features": ["amx-tile", "avx2"]})
    with pytest.raises(TerraceError, match=r"SIGILL.*does not ask Linux for AMX.*features=\('avx2',\)"):
        profile_program(built, "main", [], 1)


def test_dynamic_sizes_have_no_limit() -> None:
    (kernel,) = make_profile([row("k", 1, None, None)], [events("k")], [1.0], LIMITS).kernels
    assert (kernel.by, kernel.limit, kernel.fraction, kernel.bound) == ("terrace", None, None, "")


def test_times_of_layers() -> None:
    """k stands in two places of the model and takes 10 and 30 ns there; x is IREE's; c is launched in a loop."""
    call = [Event("k", 0, 10), Event("x", 10, 20), Event("k", 20, 50), Event("c", 50, 51), Event("c", 51, 52)]
    profile = make_profile([row("k", 2, 1000, 64), row("c", 1, 0, 8)], [call], [1.0], LIMITS)
    names = ["k", "graph.x", "k", "c"]
    layers = [{"kernel": name, "by": "iree" if "." in name else "terrace"} for name in names]
    timed = profile.timed(layers)
    assert [layer["seconds"] for layer in timed] == [pytest.approx(10e-9), None, pytest.approx(30e-9), None]
    # 500 MACs each, at 100 GFLOP/s, are 10 ns.
    assert [layer["of_limit"] for layer in timed] == [pytest.approx(1.0), None, pytest.approx(1 / 3), None]


# -- trace ------------------------------------------------------------------------------------------------------------


def test_overlapping_dispatches_have_tracks_of_their_own(tmp_path: Path) -> None:
    calls = [[Event("k", 1000, 3000), Event("x", 2000, 4000), Event("k", 4000, 5000)]]
    make_profile([row("k", 2, 1, 1)], calls, [1.0], LIMITS).save_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))
    shown = [(e["name"], e["tid"], e["ts"], e["dur"]) for e in trace["traceEvents"] if e["ph"] == "X"]
    assert shown == [("call 0", 0, 0.0, 4.0), ("k", 1, 0.0, 2.0), ("x", 2, 1.0, 2.0), ("k", 1, 3.0, 1.0)]
    names = {e["tid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    assert names == {0: "calls", 1: "kernels", 2: "kernels 1"}
