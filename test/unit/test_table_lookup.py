"""Look-ups in tables: by permutes of bytes and element by element the same, and what becomes a table."""

from __future__ import annotations

import numpy as np
import pytest
import terrace
from graph_program import Program
from terrace.dialects import graph
from terrace.dialects.base import shape_of
from terrace.lowering.graph.builders import splat
from terrace.lowering.quantization.clamp_tables import FoldClamps
from terrace.mlir import ir
from terrace.rewriting import apply_patterns
from terrace.runtime.cpu_features import host_features
from terrace.target import COMPUTE_FEATURES

HOST = tuple(sorted(COMPUTE_FEATURES & set(host_features())))
WITHOUT = tuple(name for name in HOST if "vbmi" not in name)
ALL = np.arange(-128, 128).astype(np.int8)


@pytest.mark.parametrize("features", [HOST, WITHOUT])
def test_every_element_of_a_table(features: tuple[str, ...]) -> None:
    """Bytes of both signs; rows that fill vectors, part of one, and a single element."""
    random, program = np.random.default_rng(0), Program()
    with program as p:
        for shape in ((256,), (2, 128), (8, 32), (37,), (3, 5), (1,)):
            indices = np.resize(random.permutation(ALL), shape)
            table = ir.DenseElementsAttr.get(random.integers(-128, 128, 256, dtype=np.int8))
            p.result(f"{shape}", graph.LookupOp.build(p.argument(indices), table=table))
    program.check(program.compile(terrace.Target(threads=1, features=features)))


@pytest.mark.parametrize("features", [HOST, WITHOUT])
@pytest.mark.parametrize("step", [0.003, 0.04, 7.0])
def test_tables_of_wide_integers(features: tuple[str, ...], step: float) -> None:
    """A softmax's: three bytes of an i32 at most, of which the highest has one bit; with steep ones most are 0."""
    random, program = np.random.default_rng(0), Program()
    powers = np.rint(2**16 * np.exp(-step * np.arange(255, -1, -1))).astype(np.int32)
    with program as p:
        for shape in ((5, 128), (4, 197), (3, 1)):
            x = p.argument(random.integers(-128, 128, shape, dtype=np.int8))
            p.result(f"{shape}", graph.IntegerSoftmaxOp.build(x, axis=1, table=ir.DenseElementsAttr.get(powers)))
    program.check(program.compile(terrace.Target(threads=1, features=features)))


def clamped(clamps: list[tuple[type[graph.TensorOp], float]], before: float, after: float, *, fold: bool) -> Program:
    program, f32 = Program(), ir.F32Type
    with program as p:
        y = graph.DequantizeOp.build(p.argument(ALL), splat(before, f32.get()))
        for op, bound in clamps:
            y = op.build(splat(bound, f32.get()), y) if bound < 0 else op.build(y, splat(bound, f32.get()))
        type_ = ir.RankedTensorType.get(shape_of(y), ir.IntegerType.get_signless(8))
        p.result("y", graph.QuantizeOp.build(y, splat(after, f32.get()), result_type=type_))
    if fold:
        with program.context, ir.Location.unknown():
            apply_patterns(program.module.operation, [FoldClamps()])
    return program


@pytest.mark.parametrize("bounds", [(0.0, 6.0), (-1.0, 1.0), (-0.3, float("inf")), (2.0, -2.0)])
@pytest.mark.parametrize(("before", "after"), [(0.0973, 6 / 127), (0.0473, 0.0473), (1e-3, 0.5), (3.0, 1e-4)])
def test_clamps_become_tables_of_the_same_integers(bounds: tuple[float, float], before: float, after: float) -> None:
    clamps = [(graph.MaximumOp, bounds[0]), (graph.MinimumOp, bounds[1])]
    plain, folded = (clamped(clamps, before, after, fold=fold) for fold in (False, True))
    assert "graph.lookup" in folded.text and "graph.lookup" not in plain.text
    target = terrace.Target(threads=1)
    wanted, found = (program.results(program.compile(target))["y"] for program in (plain, folded))
    np.testing.assert_array_equal(found, wanted)


def test_what_is_no_number_is_no_table() -> None:
    """A bound of NaN, and a bound for each element."""
    assert "graph.lookup" not in clamped([(graph.MaximumOp, float("nan"))], 0.1, 0.1, fold=True).text
    program, i8 = Program(), ir.IntegerType
    with program as p:
        x = graph.DequantizeOp.build(p.argument(ALL), splat(0.1, ir.F32Type.get()))
        y = graph.MaximumOp.build(x, p.argument(np.zeros(256, np.float32)))
        type_ = ir.RankedTensorType.get([256], i8.get_signless(8))
        p.result("y", graph.QuantizeOp.build(y, splat(0.1, ir.F32Type.get()), result_type=type_))
    with program.context, ir.Location.unknown():
        assert not apply_patterns(program.module.operation, [FoldClamps()])
