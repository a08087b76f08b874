"""`terrace-bench` runs and reports; what it reports is nobody's promise here: no test depends on time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from terrace.lowering.target.cpu.peak import ACCUMULATORS, peak_text
from terrace.target import CpuDescription
from terrace.tools import bench
from terrace.tools.bench_cases import CASES, Conv, conv_case, select
from terrace.tools.bench_timing import Timing, interleave


def test_a_tiny_case_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    tiny = conv_case("tiny", Conv(3, 5, 8, 3))
    monkeypatch.setattr(bench, "select", lambda names: [tiny])
    file = tmp_path / "bench.json"
    assert bench.main(["--rounds", "1", "--markdown", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "- command: terrace-bench --rounds 1 --threads 1\n" in printed
    assert "| tiny " in printed
    measured = json.loads(file.read_text())
    (case,) = measured["cases"]
    assert case["flops"] == 2 * 8 * 8 * 5 * 9 * 3
    assert {"terrace", "torch", "empty call", "peak"} <= case["timings"].keys()
    assert all(timing["wall_median"] > 0 for timing in case["timings"].values())


def test_the_compiler_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cold and cached, in a process each, with a cache of their own."""
    file = tmp_path / "compile.json"
    arguments = ["--compile", "--case", "lenet", "--rounds", "1", "--markdown", "--json", str(file)]
    assert bench.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "- command: terrace-bench --compile --case lenet --rounds 1\n" in printed
    (cells,) = [line.split("|")[2:-1] for line in printed.splitlines() if line.startswith("| lenet ")]
    assert all(float(cell) > 0 for cell in cells) and len(cells) == 8
    ((cold, cached),) = json.loads(file.read_text())["models"]["lenet"]
    assert (cold["hits"], cached["hits"]) == (0, 1)
    assert cached["compiler_peak"] == 0 < cold["compiler_peak"]
    assert bench.main(["--compile", "--case", "nothing"]) == 1
    assert "nothing.py does not exist" in capsys.readouterr().err


def test_contestants_take_turns() -> None:
    order: list[str] = []
    calls = {name: (lambda name=name: order.append(name)) for name in "ab"}
    timings = interleave(calls, rounds=3, minimum_seconds=0.0)
    # Two calls of each to see how often a turn repeats it, then the rounds.
    assert "".join(order) == "aabb" + "ab" * 3
    assert timings["a"].rounds == 3 and timings["a"].wall_min <= timings["a"].wall_median


def test_selection() -> None:
    assert select([]) == list(CASES)
    assert [case.group for case in select(["matmul-512", "elementwise"])] == ["matmul", "elementwise", "elementwise"]
    assert {case.group for case in select(["models"])} == {"models"}


def test_list_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--list"]) == 0
    assert "matmul 512x512 x 512x512, both inputs" in capsys.readouterr().out
    assert bench.main(["--case", "matmul-513"]) == 1
    assert "no case or group 'matmul-513'; known are add-relu" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        bench.main(["--rounds", "0"])


def test_a_contestant_that_is_wrong_is_not_measured() -> None:
    case = select(["gelu-128x3072"])[0]
    contest = case.build()
    calls = {"terrace": lambda: contest.args[0] + 1}
    with pytest.raises(bench.TerraceError, match=r"gelu-128x3072: terrace is off by"):
        bench._check(case, contest, calls)


def test_rows_say_what_was_measured() -> None:
    timings = {
        "terrace": Timing(2.0, 1.0, 2.0e-3, 1.0e-3, 3),
        "torch": Timing(1.0, 1.0, 1.0e-3, 0.5e-3, 3),
        "empty call": Timing(1.0, 1.0, 0.5e-3, 0.5e-3, 3),
        "peak": Timing(1.0, 1.0, 1.0e-3, 1.0e-3, 3),
    }
    case = conv_case("c", Conv(64, 64, 56, 3))
    result = bench.Result(case, 0.1, timings, peak_flops=10**9)
    rate = case.flops / 2.0e-3
    (row,) = bench._kernel_rows(result, on_cpu=True)
    assert row[:8] == ["c", "2000.0", "1000.0", "1500.0", "torch", "1000.0", "500.0", "50%"]
    assert row[8:] == [f"{rate / 1e9:.1f} GFLOP/s", f"{rate / 1e12:.0%}"]
    assert bench._model_rows(result)[0] == ["c", "0.1", "2000.00", "1000.00", "torch", "1000.00", "1000.00", "50%"]


def test_the_peak_program_keeps_its_chains_in_registers() -> None:
    text = peak_text(CpuDescription(vector_bits=256, vector_registers=16).lanes)
    loop = text[text.index("scf.for") : text.index("scf.yield")]
    assert loop.count("math.fma") == ACCUMULATORS and "load_tile" not in loop
