"""Fusions and kernels of several results: each is stored where the others are, on every target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graph_program import Program, foreign_rows
from terrace.dialects import graph
from terrace.errors import TargetError
from terrace.lowering.graph.fusion import fuse
from terrace.mlir import ir, walk
from terrace.runtime.gpu import describe_gpu

RNG = np.random.default_rng(0)
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
