"""Products of two bfloat16 parts: how near they are to those of float32, and where they are chosen."""

from __future__ import annotations

import numpy as np
import pytest
import terrace
import torch
from amx_emulation import NEEDED, emulate_amx
from graph_program import Program, schedules_of
from terrace.dialects import graph
from terrace.lowering.transforms.split_contractions import SplitContractions
from terrace.mlir import ir
from terrace.passes import run_passes
from terrace.runtime.cpu_features import missing_features
from test_cpu_atoms import needs_bf16_dot
from torch import nn

BOUND = 3 * 2**-16
"""What a product may be off, of the sum of its terms' magnitudes: the rest of each operand, and the rests' product."""

TYPICAL = 1.5e-6
"""What many of 16 terms or more are off together, in the same measure."""


def check(y: np.ndarray, x: np.ndarray, w: np.ndarray) -> None:
    """Hold a product against float64; of rounded operands it would be off by some 1e-3."""
    x, w = x.astype(np.float64), w.astype(np.float64)
    error, size = np.abs(y - x @ w), np.abs(x) @ np.abs(w)
    assert (error <= BOUND * size).all()
    assert x.shape[1] < 16 or error.sum() <= TYPICAL * size.sum()


@needs_bf16_dot
@pytest.mark.parametrize(("rows", "k", "columns"), [(16, 1, 3), (40, 333, 70), (17, 2048, 5)])
@pytest.mark.parametrize("scale", [1.0, 1e-15, 1e15])
def test_two_parts_are_nearly_float32(rows: int, k: int, columns: int, scale: float) -> None:
    random, program = np.random.default_rng(k), Program()
    x = (random.standard_normal((rows, k)) * scale).astype(np.float32)
    w = random.standard_normal((k, columns)).astype(np.float32)
    with program as p:
        p.result("y", graph.MatmulOp.build(p.argument(x), p.parameter(w), transpose_rhs=False))
    with program.context, ir.Location.unknown():
        run_passes([SplitContractions()], program.module.operation)
    compiled = program.compile(terrace.Target(threads=1))
    assert [s.atom for s in schedules_of(compiled).values() if s.atom] == ["bf16_dot"]
    check(program.results(compiled)["y"], x, w)


@pytest.mark.skipif(bool(missing_features(NEEDED)), reason="what emulates AMX needs AVX-512")
def test_high_is_two_parts_where_blocks_are_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three products by blocks are still faster than one of float32; elsewhere, and for few rows, it is float32."""
    emulate_amx(monkeypatch)
    torch.manual_seed(0)
    layer, target = nn.Linear(70, 33, bias=False).eval(), terrace.Target(threads=1)
    weight = layer.weight.detach().numpy().T
    for rows, atom in ((21, "amx_bf16"), (4, None)):
        x = torch.randn(rows, 70)
        compiled = terrace.compile(layer, (x,), precision="high", target=target)
        assert {schedule.atom for schedule in schedules_of(compiled).values()} - {None} == {atom} - {None}
        check(compiled(x).numpy(), x.numpy(), weight)
