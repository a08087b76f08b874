"""`terrace-bench` runs and reports; what it reports is nobody's promise here: no test depends on time."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from terrace.compiler.timing import Timing, interleave
from terrace.lowering.target.cpu.peak import ACCUMULATORS, peak_text, read_text
from terrace.target import CpuDescription
from terrace.tools.bench import command, limits, peers, plot, report
from terrace.tools.bench.case import in_type
from terrace.tools.bench.cases import CASES, select
from terrace.tools.bench.kernels import Conv, conv_case
from terrace.tools.bench.peers import Peer, PeerError, Task

ROOT = Path(__file__).resolve().parents[2]
TINY = conv_case("tiny", Conv(3, 5, 8, 3))


class Right(Peer):
    name = "right"

    def prepare(self, task: Task) -> Any:
        return lambda: task.contest.model(*task.contest.args)


class Wrong(Right):
    name = "wrong"

    def prepare(self, task: Task) -> Any:
        return lambda: task.contest.model(*task.contest.args) + 1


class NotANumber(Right):
    name = "not a number"

    def prepare(self, task: Task) -> Any:
        return lambda: task.contest.model(*task.contest.args) * torch.nan


class OtherShape(Right):
    name = "other shape"

    def prepare(self, task: Task) -> Any:
        return lambda: task.contest.model(*task.contest.args)[0]


class Refusing(Right):
    name = "refusing"

    def prepare(self, task: Task) -> Any:
        raise PeerError("it has no convolutions")


class Absent(Right):
    name = "absent"
    packages = ("no_such_engine",)


class Narrow(Right):
    name = "narrow"
    types = ("bf16",)


def run(monkeypatch: pytest.MonkeyPatch, case: Any, *arguments: str) -> int:
    """The tool on one case, without measuring the machine."""
    monkeypatch.setattr(command, "select", lambda names: [case])
    monkeypatch.setattr(limits, "limits", dict)
    return command.main(["--rounds", "1", *arguments])


def test_a_tiny_case_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    file, chart = tmp_path / "bench.json", tmp_path / "bench.svg"
    monkeypatch.setattr(command, "select", lambda names: [TINY])
    assert command.main(["--rounds", "1", "--markdown", "--json", str(file), "--plot", str(chart)]) == 0
    printed = capsys.readouterr().out
    assert "- command: terrace-bench --rounds 1 --threads 1\n" in printed
    assert "| tiny " in printed
    measured = json.loads(file.read_text())
    assert report.tables(measured, markdown=True) == printed.rstrip("\n")
    (row,) = measured["cases"]
    assert row["flops"] == 2 * 8 * 8 * 5 * 9 * 3
    assert {"Terrace", "torch"} <= row["contestants"].keys()
    for contestant in row["contestants"].values():
        assert contestant["error"] < 1e-5 and contestant["wall_median"] > 0
    assert {"f32", "L2", "L3", "DRAM"} <= row["limits"].keys() and all(limit > 1e8 for limit in row["limits"].values())
    assert row["empty_call"]["cpu_median"] > 0
    assert "tiny" in chart.read_text()


def test_peers_that_are_absent_refuse_or_are_wrong_are_told_and_not_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = (Right, Wrong, NotANumber, OtherShape, Refusing, Absent, Narrow)
    monkeypatch.setattr(peers, "PEERS", tuple(kind() for kind in kinds))
    file = tmp_path / "bench.json"
    assert run(monkeypatch, TINY, "--peers", "--json", str(file)) == 0
    measured = json.loads(file.read_text())
    (row,) = measured["cases"]
    assert row["contestants"].keys() - {"torch", "torch prepacked"} == {"right", "Terrace"}
    assert row["refused"].keys() == {"wrong", "not a number", "other shape", "refusing"}
    assert "is off by" in row["refused"]["wrong"] and "is off by nan" in row["refused"]["not a number"]
    assert row["refused"]["other shape"] == "gives [8, 8, 5] and not [1, 8, 8, 5]"
    assert measured["absent"] == "absent (no_such_engine): pip install 'mlir-terrace[peers]'"
    printed = capsys.readouterr().out
    assert "- tiny: refusing: it has no convolutions\n" in printed
    assert "- absent: absent (no_such_engine)" in printed


def test_peers_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert [peer.name for peer in peers.named("openvino,onnxruntime")] == ["OpenVINO", "ONNX Runtime"]
    assert peers.named("all") == peers.PEERS and peers.named(None) == ()
    assert command.main(["--peers", "tensorrt", "--case", "lenet"]) == 1
    assert "no peer 'tensorrt'; known are inductor, onnxruntime, openvino, iree" in capsys.readouterr().err


def test_without_the_flag_there_is_pytorch_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PEERS", (Right(),))
    file = tmp_path / "bench.json"
    assert run(monkeypatch, TINY, "--case", "tin*", "--json", str(file)) == 0
    measured = json.loads(file.read_text())
    assert measured["command"] == "terrace-bench --case 'tin*' --rounds 1 --threads 1"
    assert "right" not in measured["cases"][0]["contestants"]


def test_terrace_must_not_be_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> Any:
        return dataclasses.replace(TINY.build(), tolerance=-1.0)

    assert run(monkeypatch, dataclasses.replace(TINY, build=build)) == 1
    assert "tiny: Terrace is off by" in capsys.readouterr().err


@pytest.mark.parametrize(("type_", "name"), [("bf16", "tiny-bf16"), ("i8", "tiny-int8")])
def test_a_case_has_rows_in_narrower_types(
    type_: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PEERS", (Right(), Narrow()))
    file = tmp_path / "bench.json"
    assert run(monkeypatch, in_type(TINY, type_), "--peers", "--json", str(file)) == 0
    (row,) = json.loads(file.read_text())["cases"]
    assert (row["case"], row["group"]) == (name, f"kernels-{name.partition('-')[2]}")
    assert ("narrow" in row["contestants"]) == (type_ == "bf16") and "right" not in row["contestants"]


def test_the_compiler_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cold and cached, in a process each, with a cache of their own."""
    file = tmp_path / "compile.json"
    arguments = ["--compile", "--case", "lenet", "--rounds", "1", "--markdown", "--json", str(file)]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "- command: terrace-bench --compile --case lenet --rounds 1\n" in printed
    (cells,) = [line.split("|")[2:-1] for line in printed.splitlines() if line.startswith("| lenet ")]
    assert all(float(cell) > 0 for cell in cells) and len(cells) == 8
    ((cold, cached),) = json.loads(file.read_text())["models"]["lenet"]
    assert (cold["hits"], cached["hits"]) == (0, 1)
    assert cached["compiler_peak"] == 0 < cold["compiler_peak"]
    assert command.main(["--compile", "--case", "nothing"]) == 1
    assert "nothing.py does not exist" in capsys.readouterr().err


def test_contestants_take_turns() -> None:
    order: list[str] = []
    calls = {name: (lambda name=name: order.append(name)) for name in "ab"}
    timings = interleave(calls, rounds=3, minimum_seconds=0.0)
    # Two calls of each to see how often a turn repeats it, then the rounds, each turn with one that is not timed.
    assert "".join(order) == "aabb" + "aabb" * 3
    assert timings["a"].rounds == 3 and timings["a"].wall_min <= timings["a"].wall_median


def test_selection() -> None:
    assert select([]) == list(CASES)
    assert [case.name for case in select(["matmul-512", "gelu*"])] == ["matmul-512", "gelu-128x3072"]
    assert {case.group for case in select(["models"])} == {"models"} and len(select(["models"])) == 11
    assert [case.type for case in select(["resnet18*"])] == ["f32", "bf16", "i8"]
    assert len({case.name for case in CASES}) == len(CASES)


def test_list_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert "matmul 512x512 x 512x512, both inputs" in capsys.readouterr().out
    assert command.main(["--case", "matmul-513"]) == 1
    assert "no case or group 'matmul-513'; known are add-relu" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        command.main(["--rounds", "0"])


# -- the report -------------------------------------------------------------------------------------------------------


def row(case: str, flops: int = 0, moved: int = 0, **microseconds: float) -> dict[str, Any]:
    """A case in which every contestant takes so long on the CPU, and twice that by the clock."""
    contestants = {
        name: {"error": 1e-7, **dataclasses.asdict(Timing(2e-6 * us, 2e-6 * us, 1e-6 * us, 1e-6 * us, 3))}
        for name, us in microseconds.items()
    }
    return {
        **{"case": case, "group": "kernels", "type": "f32", "what": case, "flops": flops, "bytes": moved},
        **{"compile_seconds": 0.1, "contestants": contestants, "refused": {"late": "has <none>"}},
        **{"limits": {"f32": 1e9, "DRAM": 1e9}, "empty_call": {"cpu_median": 1e-5}},
    }


MEASURED = {
    "threads": 1,
    "cases": [row("a", flops=100_000, Terrace=200, torch=400, quick=100), row("b", moved=1000, Terrace=50, torch=100)],
}


def test_rows_say_what_was_measured() -> None:
    rows = report.times(MEASURED, MEASURED["cases"])
    assert rows[0] == ["µs", "Terrace", "torch", "quick", "late", "ratio", "of the limit", "compile s"]
    assert rows[1] == ["a", "200 (400)", "400 (800)", "100 (200)", "-", "2.00", "50%", "0.1"]
    assert rows[2] == ["b", "50.0 (100)", "100 (200)", "-", "-", "0.50", "2% of DRAM", "0.1"]
    assert rows[3] == ["geometric mean of the ratios", "", "0.50", "2.00", "-", "1.00", "", ""]
    # On several threads by the wall clock, and of all their limits.
    on_two = report.times({**MEASURED, "threads": 2}, MEASURED["cases"])
    assert on_two[2][-2] == "1% of DRAM" and on_two[1][-3] == "2.00"
    text = report.tables(MEASURED, markdown=False)
    assert "a: late: has <none>" in text and "limits of a core: f32 1 GFLOP/s, DRAM 1 GB/s" in text


def test_the_docs_are_generated_from_the_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which cases are slower is said, too."""
    spec = importlib.util.spec_from_file_location("generate_speeds", ROOT / "docs" / "generate_speeds.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SHOWN", "kernels")
    described = {**MEASURED, "machine": "a machine", "date": "2026-11-28", "command": "terrace-bench"}
    text = module.in_readme(described)
    assert "a machine, one thread, 2026-11-28, by\n`terrace-bench`.\nTimes are milliseconds of CPU time." in text
    assert re.search(r"\| a +\| +0.200 \| +0.400 \| +0.100 \| +- \| +2.00 \|", text)
    assert "- kernels: geometric mean of 2 ratios 1.00; a peer is faster at a (2.00).\n" in text


def test_the_chart_shows_all_contestants_of_all_cases() -> None:
    root = ElementTree.fromstring(plot.draw(MEASURED))
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "a, quick: 1.00" in titles and "a, torch: 4.00" in titles and "b, Terrace: 0.50" in titles
    assert "geometric mean, Terrace: 1.00" in titles
    assert ElementTree.fromstring(plot.draw({**MEASURED, "cases": []})) is not None


# -- the limits -------------------------------------------------------------------------------------------------------


def test_the_peak_program_keeps_its_chains_in_registers() -> None:
    lanes = CpuDescription(vector_bits=256, vector_registers=16).lanes
    text = peak_text(lanes)
    loop = text[text.index("scf.for") : text.index("scf.yield")]
    assert f"vector<{ACCUMULATORS}x{lanes}xf32>" in loop and loop.count("math.fma") == 1 and "load_tile" not in loop


def test_the_reading_program_reads_everything_so_often() -> None:
    text = read_text(lanes=8, rows=10 * ACCUMULATORS, times=3)
    assert f"tensor<{10 * ACCUMULATORS}x8xf32>" in text and text.count("scf.for") == 2
    assert "arith.constant 3 : index" in text
