"""Fusions and kernels of several results: each is stored where the others are, on every target."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import terrace
from graph_program import Program, foreign_rows
from random_numbers import RNG
from terrace.dialects import graph
from terrace.errors import CompileError, TargetError
from terrace.lowering.graph.fusion import fuse
from terrace.mlir import ir, walk
from terrace.runtime.gpu import describe_gpu

Build = Callable[[Program, tuple[int, ...]], list[ir.Value]]


def missing_gpu() -> str:
    try:
        describe_gpu("vulkan")
    except TargetError as error:
        return str(error)
    return ""


VULKAN = pytest.param(
    "vulkan", marks=pytest.mark.skipif(bool(missing_gpu()), reason=f"REQUIRES: vulkan ({missing_gpu()})")
)


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def residual(p: Program, rows: tuple[int, ...]) -> list[ir.Value]:
    """The sum before an activation: what follows a layer of a transformer reads both."""
    product = graph.MatmulOp.build(p.argument(array(7, 33), rows), p.parameter(array(40, 33)), transpose_rhs=True)
    total = graph.AddOp.build(product, p.argument(array(7, 40), rows))
    return [product, total, graph.ReluOp.build(total)]


def batches(p: Program, rows: tuple[int, ...]) -> list[ir.Value]:
    """The product itself is a result, too."""
    product = graph.BatchMatmulOp.build(
        p.argument(array(3, 5, 9), rows), p.argument(array(3, 9, 20), rows), transpose_rhs=False
    )
    return [product, graph.TanhOp.build(product)]


def image(p: Program, rows: tuple[int, ...]) -> list[ir.Value]:
    attributes = {"strides": [1, 1], "padding": [1, 1, 1, 1], "dilations": [1, 1], "groups": 1, "layout": "NHWC"}
    found = graph.Conv2dOp.build(p.argument(array(2, 6, 5, 4), rows), p.parameter(array(8, 4, 3, 3)), **attributes)
    return [found, graph.AddOp.build(found, p.parameter(array(8)))]


def elements(p: Program, rows: tuple[int, ...]) -> list[ir.Value]:
    """With an argument that broadcasts, and a value on the way that is no result."""
    total = graph.AddOp.build(p.argument(array(6, 35), rows), p.argument(array(35)))
    return [total, graph.ExpOp.build(graph.NegOp.build(total)), graph.TanhOp.build(total)]


def rows_of(p: Program, rows: tuple[int, ...]) -> list[ir.Value]:
    normal = graph.RmsNormOp.build(p.argument(array(5, 70), rows), p.parameter(array(70)), epsilon=1e-5)
    return [normal, graph.MulOp.build(normal, normal)]


def sums(p: Program, rows: tuple[int, ...]) -> list[ir.Value]:
    total = graph.ReduceOp.build(p.argument(array(6, 3, 50), rows), kind="sum", axes=[2], keepdims=False)
    return [total, graph.NegOp.build(total)]


CASES: dict[str, Build] = {
    "residual": residual,
    "batches": batches,
    "image": image,
    "elements": elements,
    "rows": rows_of,
    "sums": sums,
}


def fused(build: Build, dynamic: bool) -> Program:
    """The program in which all that `build` computes is one fusion, with a result for each value that it gives."""
    program = Program()
    with program:
        values = build(program, (0,) if dynamic else ())
        block = values[0].owner.operation.block
        for number, value in enumerate(values):
            program.result(f"r{number}", value)
    with program.context, ir.Location.unknown():
        computed = [op.operation for op in block.operations if op.operation.name.startswith("graph.")]
        fuse([op for op in computed if op.name != "graph.load"])
    return program


def kernels_in(text: str) -> int:
    return text.count("kernel.schedule")


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("case", CASES)
def test_a_kernel_stores_each_result(case: str, dynamic: bool) -> None:
    program = fused(CASES[case], dynamic)
    (fusion,) = [op for op in walk(program.module.operation) if op.name == "graph.fusion"]
    compiled = program.compile()
    assert foreign_rows(compiled) == []
    assert kernels_in(compiled.ir("kernel")) == 1
    assert len(fusion.results) == len(program.names)
    program.check(compiled)
    if dynamic:
        for count in (1, 11):
            program.check(compiled, [np.resize(v, (count, *v.shape[1:])) if v.ndim > 1 else v for v in program.inputs])


@pytest.mark.parametrize("target", [VULKAN, "hls"])
@pytest.mark.parametrize("case", CASES)
def test_on_other_targets(case: str, target: str) -> None:
    program = fused(CASES[case], False)
    compiled = program.compile(target)
    if target == "hls" or case in ("residual", "batches", "elements", "rows"):
        assert foreign_rows(compiled) == []
    program.check(compiled)


def test_an_op_of_two_results_is_one_constant_of_two_parts() -> None:
    """In a process of its own, as an op of the dialect is there for good."""
    program = Path(__file__).parent / "Inputs" / "op_of_two_results.py"
    done = subprocess.run([sys.executable, program, "cpu", "hls"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["types"] == ["tensor<4xf32>", "tensor<4xi32>"]
    assert "'graph.split_float' op result 1 has element type i64, expected i32" in found["wrong"]
    weight = np.array([[0.75, -12.0, 1e-30], [0.0, 3.0, 2.0**100]], np.float32)
    mantissa, exponent = np.frexp(weight)
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    for both in found["both"].values():
        np.testing.assert_array_equal(
            np.array(both["results"], np.float32), [x + mantissa, x * exponent.astype(np.float32)]
        )
        assert (both["constant"], both["part"], both["split_float"]) == (2, 2, 1)
        assert "@w.split_float.0}" in both["main"] and "@w.split_float.1.cast}" in both["main"]
    one = found["one"]
    assert (one["constant"], one["part"], one["split_float"]) == (1, 0, 1)
    np.testing.assert_array_equal(np.array(one["results"], np.float32), [x + mantissa])


def in_fusion(body: str, given: str, count: int) -> str:
    types = ", ".join(["tensor<5x7xf32>"] * count)
    results = ", ".join(f"%0#{i}" for i in range(count))
    return f"""func.func @main(%x: tensor<5x7xf32>) -> ({types}) {{
      %0:{count} = "graph.fusion"() ({{
        {body}
        "graph.yield"({given}) : ({types}) -> ()
      }}) : () -> ({types})
      return {results} : {types}
    }}"""


RELU = '%1 = "graph.relu"(%x) : (tensor<5x7xf32>) -> tensor<5x7xf32>'
ONE = "%2 = arith.constant dense<1.0> : tensor<5x7xf32>"


def test_what_a_group_reads_and_what_it_gives_twice_may_be_results() -> None:
    compiled = terrace.compile_mlir(in_fusion(RELU, "%x, %1, %1", 3))
    assert kernels_in(compiled.ir("kernel")) == 1
    assert foreign_rows(compiled) == []
    x = array(5, 7)
    for result, expected in zip(compiled(x), (x, np.maximum(x, 0), np.maximum(x, 0)), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_a_constant_may_be_a_result() -> None:
    compiled = terrace.compile_mlir(in_fusion(f"{RELU}\n{ONE}", "%1, %2", 2))
    x = array(5, 7)
    relu, ones = compiled(x)
    np.testing.assert_array_equal(relu, np.maximum(x, 0))
    np.testing.assert_array_equal(ones, np.ones((5, 7)))


KERNEL = """func.func private @k(%x: tensor<35xf32>, %y: tensor<SHAPExi32>) -> (tensor<35xf32>, tensor<SHAPExi32>) {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {kinds = ["parallel"], names = ["d0"],
    sizes = array<i64: 35>}, schedule = {cuts = [
      {memory = "register", order = ["d0"], sizes = array<i64: TILE>}]}} : () -> ()
  %0 = "graph.neg"(%x) : (tensor<35xf32>) -> tensor<35xf32>
  %1 = "graph.cast"(%0) : (tensor<35xf32>) -> tensor<35xi32>
  %2 = "graph.sub"(%y, %1) : (tensor<SHAPExi32>, tensor<35xi32>) -> tensor<SHAPExi32>
  return %0, %2 : tensor<35xf32>, tensor<SHAPExi32>
}
func.func @main(%x: tensor<35xf32>, %y: tensor<SHAPExi32>) -> (tensor<35xf32>, tensor<SHAPExi32>) {
  %0:2 = call @k(%x, %y) : (tensor<35xf32>, tensor<SHAPExi32>) -> (tensor<35xf32>, tensor<SHAPExi32>)
  return %0#0, %0#1 : tensor<35xf32>, tensor<SHAPExi32>
}"""


@pytest.mark.parametrize(("target", "tile"), [("cpu", 16), ("hls", 1)])
def test_results_of_a_kernel_may_have_different_types(target: str, tile: int) -> None:
    text = KERNEL.replace("SHAPE", "35").replace("TILE", str(tile))
    x, y = 10 * array(35), np.arange(35, dtype=np.int32)
    negative, whole = terrace.compile_mlir(text, target=target)(x, y)
    np.testing.assert_array_equal(negative, -x)
    np.testing.assert_array_equal(whole, y - (-x).astype(np.int32))


def test_a_kernel_with_results_of_different_shapes_is_refused_where_it_stands() -> None:
    text = KERNEL.replace("SHAPE", "2x35").replace("TILE", "1")
    with pytest.raises(CompileError, match=r"^-:2:3: error: .* does not take: results of different shapes"):
        terrace.compile_mlir(text, options={"reproducer_dir": "off"})
