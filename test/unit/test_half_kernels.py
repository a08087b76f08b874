"""Kernels that read and write bf16 and f16: computed in float32, rounded once, to nearest, ties to even."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import generator_programs as programs
import ml_dtypes
import numpy as np
import pytest
from graph_program import Program, foreign_rows
from random_numbers import RNG
from terrace.dialects import graph
from terrace.dialects.base import shape_of
from terrace.lowering.graph.builders import splat
from terrace.mlir import ir

HALVES = {"bf16": ml_dtypes.bfloat16, "f16": np.float16}
RTOL, ATOL = 2e-6, 1e-6
"""What float32 may be off by before it is rounded, as in `graph_program`."""


def rows() -> Program:
    """Softmax and norms, each a kernel of its own: what follows a norm would round once more."""
    program = programs.Program()
    with program as p:
        for shape in [(1, 1), (5, 3), (2, 3, 67), (4, 300)]:
            x, n = p.argument(10 * programs.uniform(*shape)), shape[-1]
            scale, shift = p.parameter(programs.uniform(n)), p.parameter(programs.uniform(n))
            for axis in range(len(shape)):
                p.result(f"softmax {shape} along {axis}", graph.SoftmaxOp.build(x, axis=axis))
            p.result(f"layer_norm {shape}", graph.LayerNormOp.build(x, scale, shift, epsilon=1e-5))
            p.result(f"rms_norm {shape}", graph.RmsNormOp.build(x, scale, epsilon=1e-6))
    return program


FAMILIES = {
    "matmul": programs.matmuls,
    "batch_matmul": programs.batch_matmuls,
    "conv2d, constant weights": lambda: programs.convs(constant=True),
    "conv2d, weights given": lambda: programs.convs(constant=False),
    "rows": rows,
    "epilogues": programs.epilogues,
}


@pytest.fixture(params=HALVES)
def half(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes the programs of `generator_programs` of a half precision."""
    name: str = request.param
    monkeypatch.setattr(programs, "Program", lambda: Program(HALVES[name]))
    monkeypatch.setattr(programs, "f32", lambda: ir.Type.parse(name))
    return name


def check(program: Program, results: dict[str, np.ndarray], inputs: list[np.ndarray] | None = None) -> None:
    """Hold results against float64: they are off by half of the last digit, and by what float32 was off before."""
    for (name, actual), wanted in zip(results.items(), program.expected(inputs), strict=True):
        assert actual.dtype == program.storage, name
        kind = ml_dtypes.finfo(actual.dtype)
        exponent = np.frexp(wanted)[1] - 1
        last_digit = np.exp2(np.maximum(exponent, kind.minexp).astype(float) - kind.nmant)
        allowed = 0.5 * last_digit + RTOL * np.abs(wanted).max(initial=0.0) + ATOL
        error = np.abs(actual.astype(np.float64) - wanted)
        assert (error <= allowed).all(), f"{name}: {(error / allowed).max()}"


@pytest.mark.parametrize("family", FAMILIES)
def test_against_float64(half: str, family: str) -> None:
    program = FAMILIES[family]()
    compiled = program.compile()
    # One operand that broadcasts along part of what is collapsed is made large by IREE.
    assert {row.partition(":")[0] for row in foreign_rows(compiled)} <= {"broadcast"}
    check(program, program.results(compiled))


def test_dynamic_sizes(half: str) -> None:
    program, inputs = programs.dynamic()
    compiled = program.compile()
    assert {row.partition(":")[0] for row in foreign_rows(compiled)} <= {"pad"}
    for m, k, n, b in [(3, 4, 5, 2), (1, 1, 1, 1), (0, 3, 4, 2), (5, 0, 7, 1), (17, 31, 33, 3)]:
        given = [array.astype(HALVES[half]) for array in inputs(m, k, n, b)]
        check(program, program.results(compiled, given), given)


def every_number(half: str) -> np.ndarray:
    """All bit patterns: NaN, infinities, zeros of both signs, denormals."""
    return np.arange(1 << 16, dtype=np.uint16).view(HALVES[half])


def assert_equal_bits(actual: np.ndarray, wanted: np.ndarray, name: str) -> None:
    """Equal numbers, zeros of equal signs, NaN of any payload."""
    bits, nan = np.uint16, np.isnan(wanted)
    np.testing.assert_array_equal(np.isnan(actual), nan, err_msg=name)
    np.testing.assert_array_equal(actual.view(bits)[~nan], wanted.view(bits)[~nan], err_msg=name)


EXACT: dict[str, tuple[Callable[..., ir.Value], Callable[..., np.ndarray]]] = {
    "add": (graph.AddOp.build, np.add),
    "sub": (graph.SubOp.build, np.subtract),
    "mul": (graph.MulOp.build, np.multiply),
    "div": (graph.DivOp.build, np.divide),
    "maximum": (graph.MaximumOp.build, np.maximum),
    "relu": (lambda x, _: graph.ReluOp.build(x), lambda x, _: np.where(x < 0, np.float32(0), x)),
    "neg": (lambda x, _: graph.NegOp.build(x), lambda x, _: -x),
    "floor": (lambda x, _: graph.FloorOp.build(x), lambda x, _: np.floor(x)),
    "sqrt": (lambda x, _: graph.SqrtOp.build(x), lambda x, _: np.sqrt(x)),
}


@pytest.mark.parametrize("half", HALVES)
def test_every_number(half: str) -> None:
    """Ops that float32 rounds correctly, each a kernel of its own, give the bits of NumPy's float32, rounded."""
    x = every_number(half)
    y = RNG.permutation(x)
    program = Program()
    with program as p:
        left, right = p.argument(x), p.argument(y)
        for name, (build, _) in EXACT.items():
            p.result(name, build(left, right))
    compiled = program.compile()
    assert foreign_rows(compiled) == []
    with np.errstate(all="ignore"):
        wide = x.astype(np.float32), y.astype(np.float32)
        for name, actual in program.results(compiled).items():
            assert_equal_bits(actual, EXACT[name][1](*wide).astype(HALVES[half]), name)


def near_ties(half: str) -> np.ndarray:
    """Numbers of float32 halfway between two of a half precision, their neighbours, and what overflows."""
    kind = ml_dtypes.finfo(HALVES[half])
    numbers = every_number(half).astype(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    step = np.exp2(np.maximum(np.frexp(numbers)[1] - 1, kind.minexp).astype(float) - kind.nmant - 1)
    ties = (numbers + step).astype(np.float32)
    with np.errstate(all="ignore"):
        near = [np.nextafter(ties, np.float32(sign)) for sign in (-np.inf, np.inf)]
    return np.concatenate([ties, *near, np.array([np.nan, np.inf, -np.inf, 3.4e38, -3.4e38], np.float32)])


@pytest.mark.parametrize("half", HALVES)
def test_rounds_to_nearest_even(half: str) -> None:
    """A cast in a kernel, and what it loses, which is there only if the cast back keeps the rounding."""
    x, element_type = near_ties(half), half
    program = Program()
    with program as p:
        value = p.argument(x)
        shape = shape_of(value)
        narrow, wide = (ir.RankedTensorType.get(shape, ir.Type.parse(t)) for t in (element_type, "f32"))
        p.result("rounded", graph.CastOp.build(value, result_type=narrow))
        back = graph.CastOp.build(graph.CastOp.build(value, result_type=narrow), result_type=wide)
        p.result("lost", graph.SubOp.build(value, back))
    compiled = program.compile()
    assert foreign_rows(compiled) == []
    results = program.results(compiled)
    with np.errstate(all="ignore"):
        wanted = x.astype(HALVES[half])
        assert_equal_bits(results["rounded"], wanted, "rounded")
        np.testing.assert_array_equal(results["lost"], x - wanted.astype(np.float32))


@pytest.mark.parametrize("half", HALVES)
def test_ops_that_jump_see_rounded_numbers(half: str) -> None:
    """x + y is compared, cut and cast as eager does it, though nothing is stored between."""
    kind = HALVES[half]
    x = RNG.integers(-300, 300, (37, 50)).astype(kind)
    y = RNG.uniform(-1, 1, (37, 50)).astype(kind)
    program = Program()
    with program as p:
        integer, wide = (ir.RankedTensorType.get(list(x.shape), ir.Type.parse(t)) for t in ("i32", "f32"))

        def total() -> ir.Value:
            """A sum that one kernel alone needs, so that it is stored nowhere."""
            return graph.AddOp.build(p.argument(x), p.argument(y))

        left, right = p.argument(x), p.argument(y)
        is_same = graph.CompareOp.build(total(), left, predicate="eq")
        p.result("compare", graph.SelectOp.build(is_same, splat(1, ir.Type.parse(half)), right))
        p.result("floor", graph.FloorOp.build(total()))
        p.result("integer", graph.CastOp.build(total(), result_type=integer))
        p.result("wide", graph.FloorOp.build(graph.CastOp.build(total(), result_type=wide)))
    compiled = program.compile()
    assert foreign_rows(compiled) == []
    results = program.results(compiled)
    total_ = (x.astype(np.float32) + y.astype(np.float32)).astype(kind)
    assert (total_ == x).any() and (total_ != x).any()
    wanted: dict[str, Any] = {
        "compare": np.where(total_ == x, kind(1), y),
        "floor": np.floor(total_.astype(np.float32)).astype(kind),
        "integer": total_.astype(np.int32),
        "wide": np.floor(total_.astype(np.float32)),
    }
    for name, values in wanted.items():
        np.testing.assert_array_equal(results[name], values, err_msg=name)


@pytest.mark.parametrize("half", HALVES)
def test_sums_are_of_float32(half: str) -> None:
    """4096 times 1 + 2^-7 in a row: a sum in a half precision would stop growing long before."""
    kind = HALVES[half]
    x = np.full((3, 4096), 1 + 2.0**-7).astype(kind)
    program = Program()
    with program as p:
        value = p.argument(x)
        for reduction in ("sum", "mean", "max"):
            p.result(reduction, graph.ReduceOp.build(value, kind=reduction, axes=[1], keepdims=False))
    compiled = program.compile()
    assert foreign_rows(compiled) == []
    for name, actual in program.results(compiled).items():
        wanted = getattr(np, name)(x.astype(np.float64), axis=1).astype(kind)
        np.testing.assert_array_equal(actual, wanted, err_msg=name)
