"""Encodings: constant evaluation and the reference, against a definition in plain Python, bit by bit."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from graph_program import Program
from random_numbers import RNG
from terrace.dialects import graph
from terrace.dialects.base import shape_of
from terrace.dialects.encodings import Int4Groups, Int8Groups, IntegerGroups
from terrace.mlir import DYNAMIC, arith, ir, tensor

F = np.float32
TINY = np.float32(1e-45)

SHAPES = [
    *(((8,), 0, 4), ((7,), 0, 4), ((1,), 0, 32)),
    *(((0, 4), 1, 4), ((3, 0), 1, 4)),
    *(((5, 9), 1, 3), ((5, 9), 0, 2), ((3, 4, 5), 1, 32), ((2, 33), 1, 1)),
]
"""Shape, axis, group: odd sizes, groups that do not divide, groups of one, groups larger than the axis."""


def to_bf16(x: F) -> F:
    return F(ml_dtypes.bfloat16(x))


def defined(x: np.ndarray, how: IntegerGroups) -> tuple[np.ndarray, ...]:
    """Codes, scales, zero points if there are any, and what they stand for, element by element."""
    rows, largest = np.moveaxis(x.astype(F), how.axis, -1), {4: 7, 8: 127}[how.bits]
    size, batch = rows.shape[-1], rows.shape[:-1]
    codes = np.zeros((*batch, size), np.int8)
    scales, zeros = np.zeros((2, *batch, -(-size // how.group)), F)
    values = np.zeros(rows.shape, F)
    with np.errstate(all="ignore"):
        for place in np.ndindex(*batch):
            for i in range(size):
                members = rows[place][i // how.group * how.group : (i // how.group + 1) * how.group]
                low, high = members.min(initial=0), members.max(initial=0)
                scale = (high - low) / F(2 * largest + 1) if how.zero_points else np.abs(members).max() / F(largest)
                scale = to_bf16(scale) if how.scale_bits == 16 else scale
                zero = limited(F(-largest - 1) - np.rint(low / scale), -largest - 1, largest, 0) * how.zero_points
                ratio = np.rint(rows[place][i] / scale) + F(zero)
                q = int(limited(ratio, -largest - how.zero_points, largest, zero))
                codes[place][i] = q
                scales[place][i // how.group], zeros[place][i // how.group] = scale, zero
                values[place][i] = F(q - zero) * scale
    if how.bits == 4:
        codes = np.concatenate([codes, np.zeros((*batch, size % 2), np.int8)], axis=-1)
        codes = ((codes[..., ::2] & 15) + 16 * codes[..., 1::2].astype(int)).astype(np.int8)
    stored = ml_dtypes.bfloat16 if how.scale_bits == 16 else F
    parts = (codes, *(part.astype(stored) for part in (scales, zeros)[: 1 + how.zero_points]), values)
    return tuple(np.moveaxis(part, -1, how.axis) for part in parts)


def limited(x: float, low: int, high: int, otherwise: float) -> float:
    return otherwise if math.isnan(x) else max(low, min(high, float(x)))


def hurting(shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of which some are halfway between two codes, zero, tiny, huge or not finite."""
    x = RNG.uniform(-8, 8, shape).astype(F)
    flat = x.reshape(-1)
    special = [7.0, 0.5, -1.5, 2.5, -0.0, TINY, 10 * TINY, -3e38, 3e38, np.inf, np.nan]
    places = RNG.permutation(flat.size)[: len(special)]
    flat[places] = special[: len(places)]
    return x


CASES = [
    *(pytest.param(RNG.uniform(-8, 8, shape).astype(F), *how, id=f"{shape} {how}") for shape, *how in SHAPES),
    *(pytest.param(hurting((6, 11)), axis, group, id=f"special {axis} {group}") for axis in (0, 1) for group in (1, 4)),
    pytest.param(np.zeros((2, 5), F), 1, 2, id="zeros"),
    pytest.param(np.array([TINY, -TINY, 0, 3 * TINY, 10 * TINY, 4 * TINY], F), 0, 3, id="denormals"),
    pytest.param(np.array([7, 0.5, 1.5, 2.5, -0.5, -2.5, 3.5, 6.5], F), 0, 8, id="ties"),
    pytest.param(RNG.uniform(-8, 8, (3, 10)).astype(ml_dtypes.bfloat16), 1, 4, id="bf16"),
]

KINDS = [
    *((Int4Groups, zero_points, scale_bits) for zero_points in (0, 1) for scale_bits in (32, 16)),
    *((Int8Groups, 0, 32), (Int8Groups, 1, 16)),
]
"""Encoding, zero points, bits of scales."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("x", "axis", "group"), CASES)
def test_groups(x: np.ndarray, axis: int, group: int, kind: tuple[type[IntegerGroups], int, int]) -> None:
    """The storage of an argument, computed when it runs, and of a parameter, when it is compiled, and back."""
    program = Program(x.dtype)
    encoding = kind[0](axis, group, *kind[1:])
    names = ["codes", "scales", "zeros"][: 2 + encoding.zero_points]
    with program as p:
        for source in (p.argument, p.parameter):
            value = source(x)
            parts = graph.EncodeOp.build(value, encoding)
            for name, part in zip(names, parts, strict=True):
                p.result(f"{name}, {source.__name__}", part)
            kind = ir.RankedTensorType.get(shape_of(value), ir.Type.parse("f32"))
            p.result(f"values, {source.__name__}", graph.DecodeOp.of(parts, encoding, kind))
    results = program.results(program.compile())
    wanted = dict(zip([*names, "values"], defined(x, encoding), strict=True))
    for name, actual in results.items():
        expected = wanted[name.partition(",")[0]]
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual.astype(F), expected.astype(F), err_msg=name)  # NaN of bf16 equals none


def test_sizes_known_at_run_time() -> None:
    program = Program()
    encoding = Int4Groups(0, 4)
    with program as p:
        value = p.argument(np.zeros((3, 2), F), dynamic=(0, 1))
        parts = graph.EncodeOp.build(value, encoding)
        size = tensor.dim(value, arith.constant(ir.IndexType.get(), 0))
        kind = ir.RankedTensorType.get([DYNAMIC, DYNAMIC], ir.F32Type.get())
        p.result("codes", parts[0])
        p.result("values", graph.DecodeOp.of(parts, encoding, kind, size))
    compiled = program.compile()
    for shape in [(1, 1), (4, 3), (9, 2), (8, 1), (0, 3), (5, 0)]:
        x = RNG.uniform(-3, 3, shape).astype(F)
        codes, _, values = defined(x, encoding)
        results = program.results(compiled, [x])
        np.testing.assert_array_equal(results["codes"], codes, err_msg=str(shape))
        np.testing.assert_array_equal(results["values"], values, err_msg=str(shape))


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16], ids=["f32", "bf16"])
def test_a_linear_of_an_encoded_weight(dtype: type) -> None:
    """Encoded and decoded when the artefact is written, of a weight that is computed itself: nothing is left to run."""
    program = Program(dtype)
    w, x, k = (RNG.uniform(-1, 1, shape).astype(F) for shape in ((33, 50), (4, 50), (33, 1)))
    encoding = Int4Groups(1, 16)
    with program as p:
        weight = graph.MulOp.build(p.parameter(w), p.parameter(k))
        parts = graph.EncodeOp.build(weight, encoding)
        decoded = graph.DecodeOp.of(parts, encoding, weight.type)
        p.result("y", graph.MatmulOp.build(p.argument(x), decoded, transpose_rhs=True))
    compiled = program.compile()
    assert [(row["op"], row["by"]) for row in compiled.report().rows] == [("matmul", "terrace")]
    w, x, k = (array.astype(dtype).astype(F) for array in (w, x, k))
    _, _, values = defined((w * k).astype(dtype), encoding)
    wanted = x.astype(float) @ values.astype(dtype).astype(float).T
    rtol = 1e-5 if dtype is np.float32 else 2.0**-7
    np.testing.assert_allclose(program.results(compiled)["y"].astype(float), wanted, rtol, 1e-5)
