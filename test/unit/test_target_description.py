"""What a text was made for stands in it: each level compiles the same again, and every number reaches cost models."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from terrace.compiler import PyTorch, Request, Text, lower
from terrace.errors import CompileError, TargetError
from terrace.target import CpuDescription, HlsDescription, Target
from torch import nn

CPU = Target(threads=1, features=("avx2", "fma"), cpu=CpuDescription(vector_bits=256, vector_registers=16))
HLS = Target("hls", hls=HlsDescription(local_bytes=2048))
TARGETS = {"cpu": CPU, "vulkan": Target("vulkan", gpu="ampere"), "hls": HLS, "cuda": Target("cuda", gpu="sm_80")}


def model() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 12 * 12, 32))
    return layers.eval(), torch.randn(2, 4, 12, 12)


def test_a_part_is_the_budget_unless_more_is_said() -> None:
    assert (HlsDescription().dsp, HlsDescription().bram) == (220, 140)
    lattice = HlsDescription(part="lfe5u-85f", bram=9, clock_mhz=100)
    assert (lattice.dsp, lattice.bram) == (156, 9)
    with pytest.raises(TargetError, match="unknown part 'zynq'; known are xc7z020, xczu7ev, xcu250, lfe5u-85f"):
        HlsDescription(part="zynq")
    with pytest.raises(TargetError, match="clock_mhz of a design is too small, got 0"):
        HlsDescription(clock_mhz=0)
    with pytest.raises(TargetError, match="target cpu is no hardware design"):
        Target(hls=lattice)


@pytest.mark.parametrize("name", TARGETS)
def test_a_text_of_any_level_compiles_the_same_without_a_target(name: str) -> None:
    layers, x = model()
    lowered = lower(PyTorch(layers, (x,)), Request.of(TARGETS[name]))
    last = list(lowered.ir)[-1]
    for level, text in lowered.ir.items():
        values = {key: source() for key, source in lowered.parameters.items()} | dict(layers.named_parameters())
        again = lower(Text(text, values))
        assert again.target == lowered.target, level
        assert again.ir[last] == lowered.ir[last], level


def test_a_target_that_is_given_counts() -> None:
    layers, x = model()
    text = lower(PyTorch(layers, (x,)), Request.of(HLS), until="graph").ir["graph"]
    assert lower(Text(text, dict(layers.named_parameters())), Request.of(CPU)).target.name == "cpu"


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(CpuDescription)])
def test_every_number_of_a_cpu_reaches_the_cost_model(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from terrace.lowering.target.cpu import schedule_kernels

    seen = []
    really = schedule_kernels.schedule_kernels
    monkeypatch.setattr(
        schedule_kernels,
        "schedule_kernels",
        lambda module, machine, *how: (seen.append(machine), really(module, machine, *how)),
    )
    layers, x = model()
    changed = dataclasses.replace(CpuDescription(), **{field: 2 * getattr(CpuDescription(), field)})
    lower(PyTorch(layers, (x,)), Request.of(dataclasses.replace(CPU, cpu=changed)), until="kernel")
    names = [field.name for field in dataclasses.fields(CpuDescription)]
    assert seen and all(getattr(machine, name) == getattr(changed, name) for machine in seen for name in names)


def test_the_latency_of_a_multiply_add_changes_tiles() -> None:
    layers, x = nn.Linear(64, 256).eval(), torch.randn(96, 64)
    kernels = {
        lower(PyTorch(layers, (x,)), Request.of(dataclasses.replace(CPU, cpu=cpu)), until="kernel")
        .ir["kernel"]
        .partition("\n")[2]
        for cpu in (CPU.cpu, CpuDescription(vector_bits=256, vector_registers=16, fma_latency=1, loads_per_cycle=4))
        if cpu is not None
    }
    assert len(kernels) == 2


def test_hardware_is_scheduled_for_its_own_memory() -> None:
    """Rows that do not fit are padded by a kernel before."""
    layers, x = nn.Conv2d(4, 8, 3, padding=1).eval(), torch.randn(1, 4, 12, 12)
    for size, staged in ((64 << 10, True), (256, False)):
        text = lower(
            PyTorch(layers, (x,)), Request.of(Target("hls", hls=HlsDescription(local_bytes=size))), until="kernel"
        ).ir["kernel"]
        assert ("input = {copy = {}}" in text) == staged


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ('{name = "tpu"}', "attribute 'terrace.target' is no target: unknown target 'tpu'"),
        ('{cpu = {vector_bits = 48 : i64}, name = "cpu"}', "vector_bits must be a power of two"),
        ('{name = "cpu", threads = "two"}', "threads of a target cannot be 'two'"),
        ('"cpu"', "attribute 'terrace.target' is no target"),
        ('{cpu = {threds = 2 : i64}, name = "cpu", worker = 1 : i64}', "there is no cpu.threds, worker"),
    ],
)
def test_what_is_no_target_is_refused_with_its_place(attribute: str, message: str) -> None:
    text = f"""module attributes {{terrace.target = {attribute}}} {{
      func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {{ return %x : tensor<4xf32> }} }}"""
    with pytest.raises(CompileError, match="-:1:1: error: ") as caught:
        lower(Text(text))
    assert message in str(caught.value)


THEIR_TARGET = """
from terrace.lowering.target.cpu.backend import CpuBackend

class Narrow(CpuBackend):
    families = ("elementwise",)
"""

THEIR_MODEL = """
import torch, terrace
from terrace import cache
model, x = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.GELU()).eval(), torch.randn(4, 8)
compiled = terrace.compile(model, (x,), target=terrace.Target("narrow", threads=1))
torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)
compiled.save("narrow.terrace")
torch.testing.assert_close(terrace.load("narrow.terrace")(x), compiled(x), rtol=0, atol=0)
print([(row["op"], row["by"]) for row in compiled.report().rows], len(cache.entries()))
"""


def test_a_target_of_another_package(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(THEIR_TARGET)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[terrace.targets]\nnarrow = theirs:Narrow\ngone = theirs:Gone\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TERRACE_CACHE_DIR": str(tmp_path / "cache")}

    def run(program: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path, timeout=300
        )

    done = run(THEIR_MODEL)
    assert done.returncode == 0, done.stderr
    assert "iree')" in done.stdout and done.stdout.rstrip().endswith(" 0")
    gone = run(THEIR_MODEL.replace('"narrow"', '"gone"'))
    assert "TargetError: target 'gone', theirs:Gone, cannot be imported" in gone.stderr
    unknown = run(THEIR_MODEL.replace('"narrow"', '"wide"'))
    assert "unknown target 'wide'; known are cpu, cuda, gone, hip, hls, narrow, vulkan" in unknown.stderr
    command = ["-m", "terrace.tools.compile", "-", "--target=narrow", "--emit=kernel"]
    text = """func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %0 = "graph.exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
      return %0 : tensor<4xf32> }"""
    done = subprocess.run(
        [sys.executable, *command], input=text, capture_output=True, text=True, check=False, env=environment
    )
    assert 'name = "narrow"' in done.stdout, done.stderr
