"""`terrace-explain` and `--dump-dir`: one kernel at every level by its name, and the reasons of its schedule."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from terrace.compiler import Request, Text, lower
from terrace.compiler.kernel_texts import KernelLevels, split_assembly
from terrace.errors import TargetError
from terrace.lowering.kernels.register_tile import RegisterTile, cover_cycles, ranked_tiles, step_limit
from terrace.storage.artifact import read_artifact, write_artifact
from terrace.storage.parameter_archive import write_archive
from terrace.target import CpuDescription, Target
from terrace.tools import compile as compile_tool
from terrace.tools import translate as translate_tool
from terrace.tools.explain import main

MODEL = """
"graph.parameter"() {sym_name = "fc.weight", type = tensor<48x32xf32>} : () -> ()
func.func @main(%x: tensor<8x32xf32>) -> tensor<8x48xf32> {
  %w = "graph.load"() {symbol = @fc.weight} : () -> tensor<48x32xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<8x32xf32>, tensor<48x32xf32>) -> tensor<8x48xf32>
  %1 = "graph.relu"(%0) : (tensor<8x48xf32>) -> tensor<8x48xf32>
  %2 = "graph.softmax"(%1) {axis = 1 : i64} : (tensor<8x48xf32>) -> tensor<8x48xf32>
  return %2 : tensor<8x48xf32>
}"""
WEIGHTS = {"fc.weight": np.zeros((48, 32), np.float32)}
TARGET = Target(threads=1)
MATMUL = "matmul_relu_8x48"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("explain") / "model.terrace"
    write_artifact(path, lower(Text(MODEL, WEIGHTS), Request.of(TARGET)).artifact())
    return str(path)


def test_kernels_are_listed(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([saved]) == 0
    matmul, softmax = capsys.readouterr().out.splitlines()
    assert matmul.split() == [MATMUL, "matmul+relu,", "1", "call,", "generator", "matmul"]
    assert softmax.startswith("softmax_8x48 ")


def test_a_kernel_is_shown_at_every_level(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([saved, MATMUL]) == 0
    parts = capsys.readouterr().out.split("\n// -------------------- ")
    names = [part.partition(" ")[0] for part in parts[1:]]
    assert names == ["graph", "kernel", "reasons", "loop", "cpu", "assembly"]
    assert "// layer 0, fc: 12,288 MACs" in parts[0]
    marks = ['"graph.fusion"', '"kernel.schedule"', "runner-up", '"loop.contract_tile"', "math.fma", "vfmadd"]
    for part, mark in zip(parts[1:], marks, strict=True):
        assert mark in part, f"{mark} in\n{part}"
        assert "softmax" not in part
    assert "fused multiply-adds" in parts[-1] and f"{MATMUL}:" in parts[-1]


@pytest.mark.parametrize("level", ["graph", "kernel", "loop", "cpu"])
def test_one_level_is_ir_and_nothing_else(saved: str, level: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([saved, "softmax_8x48", "--level", level]) == 0
    text = capsys.readouterr().out
    assert text.startswith("%" if level == "graph" else "func.func private @softmax_8x48(")


def test_unknown_names_come_with_near_ones(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([saved, "matmul_relu_8x84"]) == 1
    assert f"did you mean '{MATMUL}'" in capsys.readouterr().err
    assert main([saved, MATMUL, "--level", "loops"]) == 1
    assert "did you mean 'loop'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "target", [{"threads": [1]}, {"threads": True}, {"name": 3}, {"cpu": {"workers": "2"}}, {"cpu": 7}, {"features": 5}]
)
def test_a_target_that_is_none(
    saved: str, tmp_path: Path, target: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = read_artifact(saved)
    write_artifact(tmp_path / "m.terrace", dataclasses.replace(artifact, target={**artifact.target, **target}))
    assert main([str(tmp_path / "m.terrace")]) == 1
    assert capsys.readouterr().err.startswith("terrace-explain: error: ")


@pytest.mark.parametrize("fields", [{"threads": "2"}, {"threads": 2.5}, {"features": "avx2"}, {"cpu": {}}])
def test_fields_of_a_target_have_their_types(fields: dict[str, Any]) -> None:
    with pytest.raises(TargetError, match=f"{next(iter(fields))} of a target cannot be"):
        Target(**fields)


def test_rows_may_lack_what_they_do_not_know(saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = read_artifact(saved)
    entry = dataclasses.replace(artifact.entry(), report=[{"op": "matmul"}, {}])
    write_artifact(tmp_path / "m.terrace", dataclasses.replace(artifact, entries={"main": entry}))
    assert main([str(tmp_path / "m.terrace")]) == 0
    assert capsys.readouterr().out.startswith(MATMUL)


def test_a_model_of_the_kernel_level_has_no_graph(saved: str, tmp_path: Path) -> None:
    lowered = lower(Text(MODEL, WEIGHTS), Request.of(TARGET), until="kernel")
    again = lower(Text(lowered.ir["kernel"], WEIGHTS), Request.of(TARGET))
    kernels = KernelLevels(again.ir, again.target, again.flags)
    assert kernels.levels == ["kernel", "loop", "cpu", "assembly"] and MATMUL in kernels.names


# -- --dump-dir -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dump")
    (folder / "model.mlir").write_text(MODEL, encoding="utf-8")
    with open(folder / "weights.irpa", "x+b") as file:
        write_archive(file, WEIGHTS)
    files = [str(folder / name) for name in ("model.mlir", "weights.irpa")]
    arguments = [files[0], "--parameters", files[1], "--threads", "1", "--dump-dir", str(folder)]
    assert compile_tool.main(arguments) == 0
    return folder


def test_every_kernel_has_its_folder(dump: Path) -> None:
    names = {"graph.mlir", "kernel.mlir", "loop.mlir", "cpu.mlir", "assembly.s", "reasons.txt"}
    for kernel in (MATMUL, "softmax_8x48"):
        assert {path.name for path in (dump / kernel).iterdir()} == names
        assert f"@{kernel}(" in (dump / kernel / "loop.mlir").read_text(encoding="utf-8")
        assert f"{kernel}:" in (dump / kernel / "assembly.s").read_text(encoding="utf-8")
    assert {"graph.mlir", "kernel.mlir", "loop.mlir", "iree.mlir", "parameters.irpa"} <= {
        path.name for path in dump.iterdir()
    }


def test_what_a_softmax_keeps_is_no_sum(dump: Path) -> None:
    reasons = (dump / "softmax_8x48" / "reasons.txt").read_text(encoding="utf-8")
    assert "result: its terms stay in local memory" in reasons and "summed up" not in reasons


def test_the_dump_and_the_tool_agree(dump: Path, saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    for level in ("graph", "kernel", "loop", "cpu", "reasons"):
        assert main([saved, MATMUL, "--level", level]) == 0
        file = "reasons.txt" if level == "reasons" else f"{level}.mlir"
        assert capsys.readouterr().out == (dump / MATMUL / file).read_text(encoding="utf-8")


NAMED = """
func.func private @"NAME"(%x: tensor<4xf32>) -> tensor<4xf32> {
  "kernel.schedule"() {generator = "elementwise", schedule = {},
    iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 4>}} : () -> ()
  %0 = "graph.exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @"NAME"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}"""


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "..", "a\\00b", "x" * 300])
def test_no_kernel_is_written_elsewhere(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A kernel's name becomes that of a folder or file, and a text may say any."""
    text, folder = tmp_path / "model.mlir", tmp_path / "a" / "b"
    text.write_text(NAMED.replace("NAME", name), encoding="utf-8")
    assert compile_tool.main([str(text), "--threads", "1", "--dump-dir", str(folder)]) == 1
    assert "no file can be called as kernel" in capsys.readouterr().err
    assert translate_tool.main([str(text), "--to", "spirv", "--gpu", "llvmpipe", "--output-dir", str(folder)]) == 1
    assert "no file can be called as kernel" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*escaped*")) and not list(folder.iterdir())


def test_the_report_is_drawn_beside_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.mlir").write_text(MODEL, encoding="utf-8")
    with open(tmp_path / "weights.irpa", "x+b") as file:
        write_archive(file, WEIGHTS)
    given = [str(tmp_path / "model.mlir"), "--parameters", str(tmp_path / "weights.irpa")]
    page, saved = tmp_path / "report.html", tmp_path / "model.terrace"
    assert compile_tool.main([*given, "-o", str(saved), "--report", str(page)]) == 0
    assert "<title>model</title>" in page.read_text(encoding="utf-8") and saved.exists()
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit, match="2"):
        compile_tool.main([*given, "--report", str(tmp_path / "report.txt")])
    assert "give a file that ends in .html" in capsys.readouterr().err


# -- reasons ----------------------------------------------------------------------------------------------------------


def reasons_of(text: str, cpu: CpuDescription, edit: tuple[str, str] = ("", ""), features: tuple[str, ...] = ()) -> str:
    target = Target(features=features, threads=cpu.workers, cpu=cpu)
    lowered = lower(Text(text, WEIGHTS), Request.of(target), until="kernel")
    ir = {**lowered.ir, "kernel": lowered.ir["kernel"].replace(*edit)}
    kernels = KernelLevels(ir, lowered.target, ())
    return "\n".join(kernels.reasons(kernels.names[0]))


def test_the_prediction_is_that_of_the_cost_model() -> None:
    """8 x 48 with 512-bit vectors: 8 rows of 3 vectors are 24 accumulators, 12 cycles a step for 32 steps."""
    cpu = CpuDescription()
    text = reasons_of(MODEL, cpu)
    assert "iteration space: m=8, n=48, k=32 (reduced)" in text and "note:" not in text
    assert "tile: 8 x 48 (m x n), number 1 of" in text
    assert cover_cycles(8, 48, RegisterTile(8, 48), cpu) == 12 and step_limit(8, 48, cpu) == "multiply-adds"
    chosen = next(line for line in text.splitlines() if line.startswith("  * "))
    assert chosen.split() == ["*", "8", "x", "48", "27", "12.0", "multiply-adds", "0.000", "100%"]
    moved = 4 * (8 * 32 + 48 * 32 + 8 * 48)
    assert f"memory: {moved} bytes read and written, {2 * 8 * 48 * 32 / moved:.1f} floating-point" in text
    assert "workgroups: 1, as there is one worker" in text
    assert f"right operand are {4 * 32 * 48} bytes: fits L1" in text


@pytest.mark.parametrize("winograd", [True, False])
def test_the_variant_of_a_convolution_is_what_the_cost_model_chooses(winograd: bool) -> None:
    text = """
    "graph.parameter"() {sym_name = "w", type = tensor<64x64x3x3xf32>} : () -> ()
    func.func @main(%x: tensor<1x28x28x64xf32>) -> tensor<1x28x28x64xf32> {
      %w = "graph.load"() {symbol = @w} : () -> tensor<64x64x3x3xf32>
      %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
        dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x28x28x64xf32>, tensor<64x64x3x3xf32>)
        -> tensor<1x28x28x64xf32>
      return %0 : tensor<1x28x28x64xf32>
    }"""
    request = Request.of(Target(threads=1, cpu=CpuDescription()), options={"winograd": winograd})
    lowered = lower(Text(text), request, until="kernel")
    kernels = KernelLevels(lowered.ir, lowered.target, ())
    found = "\n".join(kernels.reasons(kernels.names[0]))
    assert "predicted Mcycles: winograd_2x2" in found and "note:" not in found
    assert ("variant: winograd_4x4" in found) == ("input: transformed into local memory" in found) == winograd
    assert ("weight: transformed for winograd_4x4 in blocks of 32" in found) == winograd


def test_an_atom_of_the_cpu_is_what_the_cost_model_chooses() -> None:
    text = """
    "graph.parameter"() {sym_name = "w", type = tensor<48x64xi8>} : () -> ()
    func.func @main(%x: tensor<8x64xi8>) -> tensor<8x48xi32> {
      %w = "graph.load"() {symbol = @w} : () -> tensor<48x64xi8>
      %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<8x64xi8>, tensor<48x64xi8>) -> tensor<8x48xi32>
      return %0 : tensor<8x48xi32>
    }"""
    features = ("avx512bw", "avx512f", "avx512vl", "avx512vnni")
    kernel = lower(Text(text), Request.of(Target(features=features, threads=1)), until="kernel").ir["kernel"]
    assert 'atom = "int8_dot"' in kernel
    assert "note:" not in reasons_of(text, CpuDescription(), features=features)


def test_an_edited_schedule_is_said_to_be_edited() -> None:
    text = reasons_of(MODEL, CpuDescription(), ("sizes = array<i64: 48, 8, 1>", "sizes = array<i64: 16, 2, 1>"))
    assert "note: this is not what the cost model chooses" in text
    place = next(line for line in text.splitlines() if line.startswith("tile: 2 x 16"))
    assert "number 1 of" not in place


def test_sizes_that_are_not_known_are_not_made_up() -> None:
    text = reasons_of(MODEL.replace("<8x", "<?x"), CpuDescription())
    assert "m=?" in text and "sizes that are not known are taken for 128" in text
    assert "memory: depends on a dynamic size" in text


@pytest.mark.parametrize("cpu", [CpuDescription(workers=8), CpuDescription(vector_bits=256, vector_registers=16)])
def test_more_hardware(cpu: CpuDescription) -> None:
    large = MODEL.replace("<8x", "<8192x")
    text = reasons_of(large, cpu)
    assert ("workgroups: 1," in text) == (cpu.workers == 1) and f"({cpu.lanes} floats)" in text


def test_ranked_tiles_are_in_order() -> None:
    cpu = CpuDescription()
    ranked = ranked_tiles(56, 64, range(1, 15), cpu)
    cycles = [cover_cycles(56, 64, tile, cpu) for tile in ranked]
    assert cycles == sorted(cycles)


def test_limits() -> None:
    cpu = CpuDescription()
    assert step_limit(14, 32, cpu) == "multiply-adds"
    assert step_limit(12, 16, cpu) == "loads"
    assert step_limit(1, 16, cpu) == "latency"
    assert step_limit(1, 16, dataclasses.replace(cpu, fma_latency=1)) == "loads"


def test_assembly_is_split_by_function() -> None:
    lines = ["\t.text", "a:", "\t.cfi_startproc", "\tret", ".LBB0_1:", "\tnop", ".Lfunc_end0:", "\t.size\ta"]
    text = "\n".join([*lines, "b:", "\tret", ".Lfunc_end1:", ""])
    assert split_assembly(text) == {"a": "a:\n\tret\n.LBB0_1:\n\tnop\n", "b": "b:\n\tret\n"}
