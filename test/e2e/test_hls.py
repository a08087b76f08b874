"""Models compiled to hardware: the C++ is built by the machine's compiler and simulated, and agrees with eager."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import terrace
import torch
from terrace.compiler import Lowered, PyTorch, Request, Text, lower
from terrace.errors import CompileError
from terrace.storage.artifact import read_artifact
from terrace.target import HlsDescription, Target
from torch import nn
from torch.nn import functional as F

BOUND = 1e-4
EXAMPLES = Path(__file__).parents[2] / "examples" / "models"

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating a design needs g++")


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.full1, self.full2, self.full3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.full2(F.relu(self.full1(torch.flatten(x, 1)))))
        return self.full3(x)


class Residual(nn.Module):
    """Strides, padding, batch norm, depthwise, pools that hang over the edge, concat and slice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.depthwise, self.last = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.first(x)))
        x = x + self.last(F.hardswish(self.depthwise(x)))
        x = F.max_pool2d(x, 3, 2, 1)
        x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        flat = x.flatten(1)
        return torch.softmax(torch.cat([flat, flat[:, ::2]], 1), -1)


MODELS = {
    "lenet": (LeNet, (1, 1, 28, 28)),
    "mlp": (lambda: nn.Sequential(nn.Linear(64, 32), nn.GELU(), nn.Linear(32, 10)), (3, 64)),
    "residual": (Residual, (2, 3, 20, 20)),
    "transformer": (lambda: nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), (1, 8, 32)),
}


def make(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    factory, shape = MODELS[name]
    return factory().eval(), torch.randn(*shape)


def lowered_values(lowered: Lowered) -> dict[str, np.ndarray]:
    """All weights of a design."""
    return {symbol: source() for symbol, source in lowered.parameters.items()}


def sources(lowered: Lowered) -> dict[str, str]:
    """The files of the C++ project, by name."""
    with zipfile.ZipFile(io.BytesIO(bytes(lowered.artifact().program))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@needs_compiler
@pytest.mark.parametrize("name", MODELS)
def test_simulation_agrees_with_eager(name: str) -> None:
    model, x = make(name)
    compiled = terrace.compile(model, (x,), target="hls")
    assert all(row["by"] == "terrace" for row in compiled.report().rows)
    for value in (x, torch.randn_like(x)):
        with torch.no_grad():
            expected = model(value)
        assert (compiled(value) - expected).abs().max() <= BOUND * expected.abs().max()


ZOO = {"mobilenet_v2": (1, 3, 32, 32), "resnet18": (1, 3, 64, 64), "super_resolution": (1, 1, 16, 16)}


@needs_compiler
@pytest.mark.parametrize("name", ZOO)
def test_example_models_agree_with_eager(name: str) -> None:
    """The examples as they are, on small images; a global average, padded rows that exceed local memory, shuffles."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model, _ = module.build()
    x = torch.randn(*ZOO[name])
    target = Target("hls", hls=HlsDescription(local_bytes=8 << 10))
    with torch.no_grad():
        expected = model(x)
    assert (terrace.compile(model, (x,), target=target)(x) - expected).abs().max() <= BOUND * expected.abs().max()


@needs_compiler
@pytest.mark.parametrize("text", ["float", "ap_fixed<30,10,AP_RND,AP_SAT>"])
def test_queues_between_kernels_and_at_ports(text: str) -> None:
    """Reading a queue that is empty aborts the simulation: the order of both ends is tried, too."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)]
    model, x = nn.Sequential(*layers).eval(), torch.randn(1, 2, 8, 8)
    target = Target("hls", hls=HlsDescription(interface="axis", number_format=text))
    lowered = lower(PyTorch(model, (x,)), Request.of(target))
    top = sources(lowered)["model.cpp"].partition("void model(")[2]
    assert "hls::stream<" in top.partition(")")[0] and "#pragma HLS INTERFACE axis port=output0" in top
    assert "#pragma HLS DATAFLOW" in top and top.count("#pragma HLS STREAM") >= 2
    compiled = terrace.CompiledModel(lowered.artifact())
    for value in (x, torch.randn_like(x)):
        with torch.no_grad():
            assert (compiled(value) - model(value)).abs().max() <= 2e-5
    again = lower(Text(lowered.ir["hls"], lowered_values(lowered)), Request.of(target))
    assert again.artifact().program == lowered.artifact().program


@needs_compiler
def test_large_weights_are_ports_and_the_file_holds_them(tmp_path: Path) -> None:
    model, x = make("mlp")
    target = Target("hls", hls=HlsDescription(rom_elements=100))
    terrace.compile(model, (x,), target=target).save(tmp_path / "mlp.terrace")
    artifact = read_artifact(tmp_path / "mlp.terrace")
    # The biases too, which are on chip: co-simulation reads them.
    shapes = {(1, 32, 10), (2, 64, 16), (1, 10), (1, 32)}
    assert {info.shape for info in map(np.asarray, artifact.parameters.values())} == shapes
    with torch.no_grad():
        torch.testing.assert_close(
            terrace.load(tmp_path / "mlp.terrace", simulate=True)(x), model(x), rtol=1e-4, atol=1e-5
        )


@needs_compiler
def test_simulations_do_not_disturb_each_other() -> None:
    """Neither those of several threads, nor those of a forked child, in which the program goes first."""
    model, x = make("mlp")
    compiled = terrace.compile(model, (x,), target="hls")
    inputs = [x + number for number in range(8)]
    expected = [compiled(value) for value in inputs]
    child = os.fork()
    if child == 0:
        is_right = torch.equal(compiled(x), expected[0])
        del compiled
        os._exit(not is_right)
    assert os.waitpid(child, 0)[1] == 0
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(compiled, inputs))
    assert all(map(torch.equal, found, expected))


def test_the_program_is_a_project() -> None:
    model, x = make("lenet")
    lowered = lower(PyTorch(model, (x,)), Request.of("hls"))
    files = sources(lowered)
    assert set(files) == {
        *("model.cpp", "model.h", "weights.h", "terrace_math.h", "terrace_stream.h", "testbench.cpp"),
        *("run_hls.tcl", "report.txt", "interface.json"),
    }
    assert "set_top model" in files["run_hls.tcl"]
    assert "set_part xc7z020clg400-1\ncreate_clock -period 5\n" in files["run_hls.tcl"]
    assert [port["role"] for port in json.loads(files["interface.json"])["ports"]] == ["input", "output"]
    assert "kernel conv2d_add_relu_1x28x28x6: 117600 multiply-adds" in files["report.txt"]
    assert lowered.artifact().program == lowered.artifact().program


@pytest.mark.parametrize("name", ["residual", "transformer"])
def test_a_text_at_the_level_hls_gives_the_same_program(name: str) -> None:
    """Weights are found by the symbols that the text names, on chip and on ports."""
    model, x = make(name)
    target = Target("hls", hls=HlsDescription(rom_elements=500))
    lowered = lower(PyTorch(model, (x,)), Request.of(target))
    values = lowered_values(lowered)
    again = lower(Text(lowered.ir["hls"], values), Request.of(target))
    assert again.artifact().program == lowered.artifact().program
    assert again.entry().signature == lowered.entry().signature
    assert again.artifact().parameters.keys() == lowered.artifact().parameters.keys()
    missing = next(iter(values))
    del values[missing]
    with pytest.raises(CompileError, match=f"no parameter '{missing}' was given"):
        lower(Text(lowered.ir["hls"], values), Request.of(target)).artifact()
    with pytest.raises(CompileError, match="the text is at the level 'hls', which target 'cpu' does not have"):
        lower(Text(lowered.ir["hls"], values), Request.of("cpu"))


def test_an_edited_text_at_the_level_hls_is_checked() -> None:
    model, x = make("mlp")
    lowered = lower(PyTorch(model, (x,)), Request.of("hls"))
    text = lowered.ir["hls"]
    assert "loop.unroll = 16" in text
    values = lowered_values(lowered)
    halved, broken = (text.replace("loop.unroll = 16", f"loop.unroll = {n}", 1) for n in (8, 7))
    edited = lower(Text(halved, values), Request.of("hls"))
    assert "#pragma HLS UNROLL factor=8" in sources(edited)["model.cpp"]
    wrong = lower(Text(broken, values), Request.of("hls"))
    with pytest.raises(CompileError, match="cannot be unrolled by 7, which does not divide its 16 iterations"):
        wrong.artifact()


def test_fewer_multipliers_unroll_less() -> None:
    model, x = make("mlp")
    few = lower(PyTorch(model, (x,)), Request.of(Target("hls", hls=HlsDescription(max_unroll=4))))
    many = lower(PyTorch(model, (x,)), Request.of("hls"))
    assert "loop.unroll = 16" in many.ir["hls"] and "loop.unroll = 16" not in few.ir["hls"]
    assert "loop.unroll = 4" in few.ir["hls"]
    # Only the first line differs, which says what for.
    assert few.ir["loop"].partition("\n")[2] == many.ir["loop"].partition("\n")[2]


def test_an_op_without_a_generator_is_refused_where_the_user_wrote_it() -> None:
    class Sorts(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x).cumsum(0)

    with pytest.raises(CompileError, match=r"test_hls\.py:\d+:\d+: error: .* op runs in no kernel"):
        terrace.compile(Sorts(), (torch.randn(4, 4),), target="hls")


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = make("mlp")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(terrace.errors.TargetError, match="needs a C\\+\\+ compiler, found no no-such-compiler"):
        terrace.compile(model, (x,), target="hls")


def test_the_last_level_is_the_targets_own() -> None:
    model, x = make("mlp")
    assert list(lower(PyTorch(model, (x,)), Request.of("hls"), until="hls").ir) == ["graph", "kernel", "loop", "hls"]
    with pytest.raises(CompileError, match="unknown level 'hls'; known are graph, kernel, loop, iree"):
        lower(PyTorch(model, (x,)), until="hls")
