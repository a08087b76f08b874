"""Products by encoded weights: kernels that decode, against the decoded weights in float64."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import ml_dtypes
import numpy as np
import pytest
import terrace
from graph_program import Program, edited, recut, schedules_of
from random_numbers import RNG
from terrace.dialects import graph
from terrace.dialects.encodings import Int4Groups, Int8Groups, IntegerGroups
from terrace.lowering.kernels.packing import Sums
from terrace.mlir import DYNAMIC, ir
from test_cpu_atoms import HOST, needs_bf16_dot

F = np.float32
AVX2 = tuple(name for name in HOST if not name.startswith("avx512"))
PLAIN = tuple(name for name in AVX2 if not name.startswith("avx"))

ENCODINGS: dict[str, tuple[type[IntegerGroups], int, int, int]] = {
    "int4": (Int4Groups, 32, 0, 16),
    "int4 f32": (Int4Groups, 64, 0, 32),
    "int4 zero points": (Int4Groups, 16, 1, 16),
    "int4 channel": (Int4Groups, 1 << 20, 1, 32),
    "int8 channel": (Int8Groups, 1 << 20, 0, 32),
    "int8 zero points": (Int8Groups, 48, 1, 16),
}
"""Encoding, group (the largest: all of k), zero points, bits of scales."""

SHAPES = [
    *((1, 1, 16), (1, 200, 96), (2, 33, 80), (3, 17, 1056), (8, 130, 112)),
    *((9, 5, 16), (130, 40, 624), (16, 16, 9008)),
]
"""m, n, k: n that fills no vector, k whose last group is smaller, rows that decode in registers, and more of them."""


def product(
    p: Program, m: int, n: int, k: int, how: tuple[type[IntegerGroups], int, int, int], transposed: bool = True
) -> tuple[ir.Value, IntegerGroups]:
    kind, group, zero_points, scale_bits = how
    encoding = kind(int(transposed), group, zero_points, scale_bits)
    w = RNG.uniform(-1, 2, (n, k) if transposed else (k, n)).astype(F)
    parts = graph.EncodeOp.build(p.parameter(w), encoding)
    x = p.argument(RNG.standard_normal((m, k)).astype(F), dynamic=(0,) if m == 0 else ())
    y = graph.EncodedMatmulOp.build(x, *parts, encoding=encoding.attributes, transpose_rhs=transposed)
    return y, encoding


def products(shapes: Sequence[tuple[int, int, int]] = SHAPES, storage: type = F) -> Program:
    """Each shape with two of the encodings, in turn, or one shape with all."""
    program, turns = Program(storage), itertools.cycle(ENCODINGS.items())
    with program as p:
        pairs = [(shape, next(turns)) for shape in shapes for _ in range(2 if len(shapes) > 1 else len(ENCODINGS))]
        for (m, n, k), (name, how) in pairs:
            transposed = (m + n + k) % 2 == 0 or m == 1
            y, _ = product(p, m, n, k, how, transposed)
            bias = p.parameter(RNG.standard_normal(n).astype(F))
            p.result(f"{m}x{n}x{k} {name}", graph.ReluOp.build(graph.AddOp.build(y, bias)))
    return program


@pytest.mark.parametrize(
    ("features", "threads"), [(HOST, 1), (HOST, 2), (AVX2, 1), (PLAIN, 1)], ids=["host", "threads", "avx2", "sse"]
)
def test_against_float64(features: tuple[str, ...], threads: int) -> None:
    program = products()
    compiled = program.compile(terrace.Target(threads=threads, features=features))
    assert {row["by"] for row in compiled.report().rows} == {"terrace"}
    program.check(compiled)


def test_sizes_known_at_run_time() -> None:
    program = Program()
    encoding = Int4Groups(1, 32, 1, 16)
    w = RNG.uniform(-1, 1, (50, 64)).astype(F)
    with program as p:
        x = p.argument(np.zeros((3, 64), F), dynamic=(0,))
        parts = graph.EncodeOp.build(p.parameter(w), encoding)
        type_ = ir.RankedTensorType.get([DYNAMIC, 50], ir.F32Type.get())
        how = {"encoding": encoding.attributes, "transpose_rhs": True}
        p.result("y", graph.EncodedMatmulOp.build(x, *parts, result_type=type_, **how))
    compiled = program.compile()
    for rows in (0, 1, 7, 8, 9, 33):
        program.check(compiled, [RNG.standard_normal((rows, 64)).astype(F)])


@needs_bf16_dot
@pytest.mark.parametrize("shape", [(1, 200, 96), (2, 33, 80), (8, 130, 112), (3, 20, 1056), (20, 33, 64)])
def test_of_bf16(shape: tuple[int, int, int]) -> None:
    """lhs of bf16 meets codes, which bf16 holds exactly: an atom multiplies, and only its sums round."""
    program = products([shape], ml_dtypes.bfloat16)
    compiled = program.compile(terrace.Target(threads=1))
    atoms = {name: schedule.atom for name, schedule in schedules_of(compiled).items()}
    assert set(atoms.values()) == ({"bf16_dot", None} if shape[0] <= 8 else {None})
    results = program.results(compiled)
    for (name, actual), wanted in zip(results.items(), program.expected(), strict=True):
        assert actual.dtype == ml_dtypes.bfloat16
        largest = np.abs(wanted).max()
        error = np.abs(actual.astype(float) - wanted)
        assert (error <= 2**-8 * np.abs(wanted) + 2e-6 * largest).all(), name


def test_what_is_not_finite_stays_in_its_row_or_column() -> None:
    program = Program()
    encoding = Int4Groups(1, 32, 0, 16)
    w, x = RNG.uniform(-1, 1, (70, 64)).astype(F), RNG.standard_normal((3, 64)).astype(F)
    w[5, 40], x[1, 63], x[2, 0] = np.nan, np.inf, 1e-42
    with program as p:
        parts = graph.EncodeOp.build(p.parameter(w), encoding)
        how = {"encoding": encoding.attributes, "transpose_rhs": True}
        p.result("y", graph.EncodedMatmulOp.build(p.argument(x), *parts, **how))
    y = program.results(program.compile())["y"]
    wanted = program.expected()[0]
    np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
    np.testing.assert_allclose(y[[0, 2]], wanted[[0, 2]], 1e-5, 1e-5)


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("constant", [True, False])
def test_the_op_that_no_kernel_takes(transposed: bool, constant: bool) -> None:
    """By the reference where k has no whole steps, by evaluation where all operands are constant."""
    program = Program()
    with program as p:
        for kind, group, zero_points in ((Int4Groups, 6, 1), (Int8Groups, 20, 0)):
            encoding = kind(int(transposed), group, zero_points, 32)
            w = RNG.uniform(-1, 2, (30, 20) if transposed else (20, 30)).astype(F)
            x = RNG.standard_normal((3, 20)).astype(F)
            parts = graph.EncodeOp.build(p.parameter(w), encoding)
            how = {"encoding": encoding.attributes, "transpose_rhs": transposed}
            y = graph.EncodedMatmulOp.build(p.parameter(x) if constant else p.argument(x), *parts, **how)
            p.result(f"{kind.__name__}", graph.ReluOp.build(graph.AddOp.build(y, p.argument(np.zeros(30, F)))))
    compiled = program.compile()
    assert not [row for row in compiled.report().rows if "encoded" in row["op"] and row["by"] == "terrace"]
    program.check(compiled)


def test_what_no_kernel_takes_is_decoded_when_compiled() -> None:
    """k of 20 has no whole steps; the product is one of floats, and the same."""
    w, x = RNG.uniform(-1, 1, (30, 20)).astype(F), RNG.standard_normal((3, 20)).astype(F)
    program = Program()
    with program as p:
        parts = graph.EncodeOp.build(p.parameter(w), Int4Groups(1, 4))
        weight = graph.DecodeOp.of(parts, Int4Groups(1, 4), ir.RankedTensorType.get([30, 20], ir.F32Type.get()))
        p.result("y", graph.MatmulOp.build(p.argument(x), weight, transpose_rhs=True))
    compiled = program.compile()
    assert [(row["op"], row["by"]) for row in compiled.report().rows] == [("matmul", "terrace")]
    program.check(compiled)


def test_edited_schedules_give_the_same_bits() -> None:
    """However rows and columns are cut: an element's sum has one order; by way of local memory another one."""
    program = Program()
    with program as p:
        p.result("y", product(p, 5, 70, 96, ENCODINGS["int4 zero points"])[0])
    compiled = program.compile(terrace.Target(threads=1))
    ((name, schedule),) = schedules_of(compiled).items()
    expected = program.results(compiled)["y"]

    def found(width: int, tile: dict[str, int], block: dict[str, int], staged: str = "lhs") -> np.ndarray:
        packed = {
            operand: dataclasses.replace(how, inner_tiles=(width, *how.inner_tiles[1:]))
            for operand, how in schedule.packed.items()
        }
        parallel = [dim for dim in ("n",) if dim in block]
        leaves = {"result": Sums()} if "k" in block else {}
        cut = recut(schedule, tile, block, parallel, packed, [staged], leaves)
        return program.results(program.compile(text=edited(compiled.ir("kernel"), {name: cut})))["y"]

    for rows, width, depth, block in [(1, 16, 8, {}), (5, 64, 16, {}), (2, 32, 8, {"n": 32}), (4, 48, 16, {"n": 48})]:
        y = found(width, {"m": rows, "n": width, "k": depth}, {**block, "m": rows})
        np.testing.assert_array_equal(y, expected, err_msg=f"{rows} {width} {depth} {block}")
    for width, block in [(16, {}), (32, {"n": 64}), (48, {"n": 48, "m": 6, "k": 96})]:
        y = found(width, {"n": width, "m": 3, "k": 1}, block, "rhs")
        np.testing.assert_allclose(y, expected, 0, 2e-6 * np.abs(expected).max(), err_msg=f"{width} {block}")
