"""Encodings: constant evaluation and the reference, against a definition in plain Python, bit by bit."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from graph_program import Program
from terrace.dialects import graph
from terrace.dialects.base import shape_of
from terrace.dialects.encodings import Int4Groups
from terrace.mlir import DYNAMIC, arith, ir, tensor

RNG = np.random.default_rng(0)
F = np.float32
TINY = np.float32(1e-45)

SHAPES = [
    *(((8,), 0, 4), ((7,), 0, 4), ((1,), 0, 32)),
    *(((5, 9), 1, 3), ((5, 9), 0, 2), ((3, 4, 5), 1, 32), ((2, 33), 1, 1)),
]
"""Shape, axis, group: odd sizes, groups that do not divide, groups of one, groups larger than the axis."""


def defined(x: np.ndarray, axis: int, group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, scales, and what they stand for, element by element."""
    rows = np.moveaxis(x.astype(F), axis, -1)
    size = rows.shape[-1]
    codes = np.zeros((*rows.shape[:-1], -(-size // 2)), np.int8)
    scales = np.zeros((*rows.shape[:-1], -(-size // group)), F)
    values = np.zeros(rows.shape, F)
    with np.errstate(all="ignore"):
        for place in np.ndindex(*rows.shape[:-1]):
            for i in range(size):
                members = rows[place][i // group * group : (i // group + 1) * group]
                scale = np.abs(members).max() / F(7)
                ratio = rows[place][i] / scale
                q = 0 if math.isnan(ratio) else int(max(-7.0, min(7.0, float(np.rint(ratio)))))
                nibble = (q & 15) << 4 * (i % 2)
                byte = (int(codes[place][i // 2]) & 255) | nibble
                codes[place][i // 2] = byte - 256 if byte > 127 else byte
                scales[place][i // group] = scale
                values[place][i] = F(q) * scale
    return tuple(np.moveaxis(part, -1, axis) for part in (codes, scales, values))


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


@pytest.mark.parametrize(("x", "axis", "group"), CASES)
def test_int4_groups(x: np.ndarray, axis: int, group: int) -> None:
    """The storage of an argument, computed when it runs, and of a parameter, when it is compiled, and back."""
    program = Program(x.dtype)
    encoding = Int4Groups(axis, group)
    with program as p:
        for source in (p.argument, p.parameter):
            value = source(x)
            parts = graph.EncodeOp.build(value, encoding)
            p.result(f"codes, {source.__name__}", parts[0])
            p.result(f"scales, {source.__name__}", parts[1])
            kind = ir.RankedTensorType.get(shape_of(value), ir.Type.parse("f32"))
            p.result(
                f"values, {source.__name__}",
                graph.DecodeOp.of(parts, encoding, kind),
            )
    results = program.results(program.compile())
    codes, scales, values = defined(x, axis, group)
    for name, actual in results.items():
        wanted = {"codes": codes, "scales": scales, "values": values}[name.partition(",")[0]]
        np.testing.assert_array_equal(actual, wanted, err_msg=name)


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
        codes, _, values = defined(x, 0, 4)
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
    _, _, values = defined((w * k).astype(dtype), 1, 16)
    wanted = x.astype(float) @ values.astype(dtype).astype(float).T
    rtol = 1e-5 if dtype is np.float32 else 2.0**-7
    np.testing.assert_allclose(program.results(compiled)["y"].astype(float), wanted, rtol, 1e-5)
