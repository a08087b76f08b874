"""`CompiledModel.profile` on programs that run: every kernel timed in its place, and a trace that Perfetto reads."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import terrace
import torch
from terrace.errors import InputError, TerraceError
from terrace.runtime.model import CompiledModel
from terrace.tools import run as run_tool
from torch import nn


class Small(nn.Module):
    """Two equal linear layers, a flip, which is IREE's, and a state that counts calls."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.second = nn.Linear(64, 64)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return torch.where(keep, x.flip(1), self.calls)


ROWS = 4096
"""So many that two threads share a kernel."""

X, KEEP = torch.randn(ROWS, 64), torch.ones(ROWS, 64, dtype=torch.bool)


@pytest.fixture(scope="module", params=[1, 2])
def model(request: pytest.FixtureRequest) -> CompiledModel:
    return terrace.compile(Small().eval(), (X, KEEP), target=terrace.Target(threads=request.param))


def test_every_kernel_is_timed(model: CompiledModel) -> None:
    profile = model.profile(X, KEEP)
    ours = {kernel.kernel: kernel for kernel in profile.kernels if kernel.by == "terrace"}
    expected = {row["kernel"]: row for row in model.report().rows if row["by"] == "terrace"}
    assert set(ours) == set(expected)
    for name, kernel in ours.items():
        row = expected[name]
        assert (kernel.calls, kernel.macs, kernel.bytes) == (row["calls"], row["macs"], row["bytes"])
        assert 0 < kernel.seconds < 1 and kernel.fraction is not None and kernel.fraction > 0
    assert sum(kernel.macs or 0 for kernel in ours.values()) == 2 * ROWS * 64 * 64
    assert any(kernel.by == "iree" for kernel in profile.kernels)
    assert profile.total > 0 and profile.whole > 0 and profile.limits.threads == model.target["threads"]
    # One thread runs one kernel at a time: together they take no longer than from the first to the last.
    if profile.limits.threads == 1:
        for call in profile.events:
            busy = sum(event.end - event.start for event in call)
            assert busy <= max(e.end for e in call) - min(e.start for e in call)
    assert "sum of the kernels" in str(profile) and "GFLOP/s" in str(profile)


def test_the_state_is_not_touched(model: CompiledModel) -> None:
    before = model.state()
    model.profile(X, KEEP)
    assert all(np.array_equal(before[name], value) for name, value in model.state().items()) and before


def test_the_trace_is_in_trace_event_format(model: CompiledModel, tmp_path: Path) -> None:
    """Google's Trace Event Format: what each phase must have, and that slices of one track nest."""
    profile = model.profile(X, KEEP)
    profile.save_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))
    assert isinstance(trace["traceEvents"], list) and trace["displayTimeUnit"] in ("ms", "ns")
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    for event in trace["traceEvents"]:
        assert event["ph"] in ("X", "M") and isinstance(event["pid"], int) and isinstance(event["tid"], int)
        assert isinstance(event["name"], str) and isinstance(event["args"], dict)
    for event in slices:
        assert event["ts"] >= 0 and event["dur"] >= 0 and event["cat"] in ("call", "terrace", "iree")
    tracks = itertools.groupby(sorted(slices, key=lambda e: (e["tid"], e["ts"])), key=lambda e: e["tid"])
    for _, track in tracks:
        for one, following in itertools.pairwise(track):
            assert one["ts"] + one["dur"] <= following["ts"] + 1e-3
    calls = [event for event in slices if event["cat"] == "call"]
    assert len(calls) == len(profile.events) >= 5
    assert len(slices) - len(calls) == sum(map(len, profile.events))
    per_call = {name: sum(e.name == name for e in profile.events[0]) for name in {e.name for e in profile.events[0]}}
    assert per_call == {kernel.kernel: kernel.calls for kernel in profile.kernels}


def test_a_loaded_model(model: CompiledModel, tmp_path: Path) -> None:
    model.save(tmp_path / "m.terrace")
    profile = terrace.load(tmp_path / "m.terrace").profile(X.numpy(), KEEP.numpy())
    assert {kernel.kernel for kernel in profile.kernels if kernel.by == "terrace"} == {
        row["kernel"] for row in model.report().rows if row["by"] == "terrace"
    }


def test_inputs_are_checked(model: CompiledModel) -> None:
    with pytest.raises(InputError):
        model.profile(X)


def test_inputs_of_every_kind() -> None:
    """Scalars, empty tensors and narrow types reach the program that is timed."""
    text = """func.func @main(
        %a: tensor<f32>, %b: tensor<0x3xf32>, %c: tensor<4xbf16>, %d: tensor<4xi8>, %e: tensor<4x4xf32>
      ) -> (tensor<f32>, tensor<0x3xf32>, tensor<4xbf16>, tensor<4xi8>, tensor<4x4xf32>) {
      %r = "graph.relu"(%e) : (tensor<4x4xf32>) -> tensor<4x4xf32>
      return %a, %b, %c, %d, %r : tensor<f32>, tensor<0x3xf32>, tensor<4xbf16>, tensor<4xi8>, tensor<4x4xf32>
    }"""
    kinds = [torch.tensor(1.0), torch.zeros(0, 3), torch.ones(4, dtype=torch.bfloat16), torch.ones(4, dtype=torch.int8)]
    profile = terrace.compile_mlir(text).profile(*kinds, torch.randn(4, 4))
    assert [kernel.kernel for kernel in profile.kernels if kernel.by == "terrace"] == ["relu_16"]


def test_other_targets_have_no_profile() -> None:
    text = """func.func @main(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
      %r = "graph.relu"(%x) : (tensor<4x4xf32>) -> tensor<4x4xf32>
      return %r : tensor<4x4xf32>
    }"""
    model = terrace.compile_mlir(text, target="hls")
    with pytest.raises(TerraceError, match="profile is not available for the target 'hls'"):
        model.profile(torch.randn(4, 4))


def test_the_tool_profiles(model: CompiledModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, trace, page = (str(tmp_path / name) for name in ("m.terrace", "trace.json", "report.html"))
    model.save(saved)
    assert run_tool.main([saved, "--random", "0", "--profile", "--trace", trace, "--report", page]) == 0
    assert "sum of the kernels" in capsys.readouterr().out
    assert json.loads(Path(trace).read_text(encoding="utf-8"))["traceEvents"]
    assert "Time per layer" in Path(page).read_text(encoding="utf-8")
