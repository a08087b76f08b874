"""Reductions and copies by their generators, on the CPU and in hardware, against float64."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable

import numpy as np
import pytest
import terrace
from generator_programs import uniform
from graph_program import Program, edited, foreign_rows, schedules_of
from random_numbers import RNG
from terrace.dialects import graph
from terrace.errors import PassError
from terrace.lowering.kernels.schedule import Schedule
from terrace.mlir import ir
from terrace.target import CpuDescription

KINDS = ("sum", "mean", "max", "min", "prod")
CASES = [((1,), (0,)), ((7,), (0,)), ((5, 3), (0,)), ((3, 70), (1,)), ((4, 6, 5), (1,)), ((3, 4, 150), (0, 2))]
CASES += [((2, 7, 7, 20), (1, 2)), ((2, 3, 4, 5), (0, 1, 2, 3)), ((3, 1, 5), (1,)), ((2, 3, 4, 2, 3), (0, 2, 4))]
CASES += [((), ())]


def reductions() -> Program:
    program = Program()
    with program as p:
        for shape, axes in CASES:
            x = p.argument(np.asarray(1 + 0.5 * uniform(*shape)))  # products of many neither vanish nor overflow
            for kind, keepdims in itertools.product(KINDS, (False, True)):
                if kind != "prod" or np.prod(shape) < 200:
                    y = graph.ReduceOp.build(x, kind=kind, axes=list(axes), keepdims=keepdims)
                    p.result(f"{kind} of {shape} over {axes} keepdims={keepdims}", y)
    return program


def copies() -> Program:
    program = Program()
    with program as p:
        x, row, wide = p.argument(uniform(3, 5)), p.argument(uniform(1, 5)), p.argument(uniform(2, 1, 4, 40))
        p.result("pad", graph.PadOp.build(x, low=[1, 0], high=[2, 3], value=-1.5))
        p.result("pad inside a tile", graph.PadOp.build(wide, low=[0, 2, 1, 3], high=[1, 0, 1, 0], value=0.0))
        integers = p.argument(np.arange(6, dtype=np.int32).reshape(2, 3))
        p.result("pad of integers", graph.PadOp.build(integers, low=[0, 1], high=[0, 0], value=7.0))
        for shape in ((4, 5), (2, 3, 5)):
            type_ = ir.RankedTensorType.get(list(shape), ir.F32Type.get())
            p.result(f"broadcast to {shape}", graph.BroadcastOp.build(row, result_type=type_))
        one = p.argument(uniform())
        p.result("scalar", graph.BroadcastOp.build(one, result_type=ir.RankedTensorType.get([33], ir.F32Type.get())))
    return program


def integers() -> Program:
    """Sums and products of integers wrap; the extremes of a type are among the elements."""
    program = Program()
    with program as p:
        for dtype, (shape, axes) in itertools.product(("int8", "int16", "int32", "int64"), CASES):
            limits = np.iinfo(dtype)
            array = RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)
            array.flat[0] = limits.min
            x = p.argument(np.asarray(array))
            for kind in ("max", "min", *(("sum", "prod") if dtype != "int8" else ())):
                y = graph.ReduceOp.build(x, kind=kind, axes=list(axes), keepdims=True)
                p.result(f"{kind} of {dtype} {shape} over {axes}", y)
    return program


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating a design needs g++")
PROGRAMS = {"reductions": reductions, "copies": copies}


@pytest.mark.parametrize("reductions", [reductions, integers])
def test_reductions_on_the_cpu(reductions: Callable[[], Program]) -> None:
    program = reductions()
    for cpu in (CpuDescription(256, 16), CpuDescription(256, 16, workers=4)):
        compiled = program.compile(terrace.Target(cpu=cpu))
        assert foreign_rows(compiled) == []
        program.check(compiled)


@needs_compiler
@pytest.mark.parametrize("name", PROGRAMS)
def test_in_hardware(name: str) -> None:
    program = PROGRAMS[name]()
    program.check(program.compile("hls"))


@pytest.mark.parametrize("target", ["cpu", pytest.param("hls", marks=needs_compiler)])
def test_special_values(target: str) -> None:
    """NaN reaches every kind of result, and infinities count as numbers."""
    program = Program()
    with program as p:
        values = uniform(4, 70)
        values[0, 3], values[1, 68], values[2, 5] = np.nan, np.inf, -np.inf
        x = p.argument(values)
        for kind, axis in itertools.product(KINDS, (0, 1)):
            p.result(f"{kind} over {axis}", graph.ReduceOp.build(x, kind=kind, axes=[axis], keepdims=False))
    program.check(program.compile(target))


def test_dynamic_sizes() -> None:
    """One compile for all sizes, none among them."""
    program = Program()
    with program as p:
        x = p.argument(uniform(3, 4, 5), (0, 1, 2))
        for kind, axes in itertools.product(("sum", "mean", "max"), ([2], [1], [0, 2], [0, 1, 2])):
            p.result(f"{kind} over {axes}", graph.ReduceOp.build(x, kind=kind, axes=axes, keepdims=False))
    compiled = program.compile()
    assert foreign_rows(compiled) == []
    for sizes in ((3, 4, 5), (1, 1, 1), (2, 17, 67), (40, 3, 16)):
        program.check(compiled, [1 + uniform(*sizes)])  # sums do not cancel: the bound is relative to the result


def _with_epilogue(build: Callable[[ir.Value], ir.Value], x: ir.Value) -> ir.Value:
    """A group that no pass makes, but that text may hold."""
    fusion = ir.Operation.create("graph.fusion", [ir.RankedTensorType.get([2, 5], ir.F32Type.get())], regions=1)
    with ir.InsertionPoint(fusion.regions[0].blocks.append()):
        ir.Operation.create("graph.yield", operands=[build(x)])
    return fusion.results[0]


def test_an_epilogue_runs_on_the_result() -> None:
    program = Program()
    with program as p:
        x, bias = p.argument(uniform(2, 3, 4, 5)), p.argument(uniform(5))

        def build(x: ir.Value) -> ir.Value:
            return graph.AddOp.build(graph.ReduceOp.build(x, kind="mean", axes=[1, 2], keepdims=False), bias)

        p.result("mean and bias", _with_epilogue(build, x))
    compiled = program.compile()
    assert len(compiled.report().rows) == 1
    x, bias = (array.astype(np.float64) for array in program.inputs)
    np.testing.assert_allclose(compiled(*program.inputs), x.mean((1, 2)) + bias, 1e-5, 1e-6)


def test_a_tile_along_a_product_is_refused() -> None:
    program = Program()
    with program as p:
        p.result("prod", graph.ReduceOp.build(p.argument(uniform(3, 8)), kind="prod", axes=[1], keepdims=False))
    compiled = program.compile()
    (kernel,) = schedules_of(compiled)
    with pytest.raises(PassError, match="tile size of 'd1' must be 1 in a product along it"):
        program.compile(text=edited(compiled.ir("kernel"), {kernel: Schedule.of({"d1": 4})}))
