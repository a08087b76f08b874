"""The kernels of attention against float64, on every target that has them: shapes, masks and values that hurt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import terrace
from generator_programs import uniform
from graph_program import Program, edited, foreign_rows, loops_of, schedules_of
from terrace.dialects import graph
from terrace.errors import PassError
from terrace.lowering.kernels.attention.schedule import ROWS, SKIPPING
from terrace.lowering.kernels.schedule import Schedule
from terrace.runtime.cpu_features import host_features
from terrace.target import CpuDescription

TARGETS = [
    "cpu",
    pytest.param("vulkan", marks=pytest.mark.vulkan),
]


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes of an attention: `lead` batches, heads of the query and of the keys, rows, keys, and both widths."""

    lead: tuple[int, ...] = (2,)
    heads: tuple[int, int] = (3, 3)
    rows: int = 9
    keys: int = 11
    widths: tuple[int, int] = (8, 5)
    mask: tuple[int, ...] | None = None
    is_causal: bool = False
    inner: tuple[int, ...] = ()
    has_large_scores: bool = False
    """Up to some hundreds; exact in float32, as a rounding error there would be as large as the bound."""

    def arrays(self) -> list[np.ndarray]:
        (heads, own), (width, columns) = self.heads, self.widths
        shapes = [(heads, self.rows, width), (own, self.keys, width), (own, self.keys, columns)]
        whole = [uniform(*self.lead, *shape) for shape in shapes]
        if self.has_large_scores:
            whole[0], whole[1] = np.round(500 * whole[0]), np.round(8 * whole[1]) / 8
        moved = [np.swapaxes(x, -3, -2).copy() if i in self.inner else x for i, x in enumerate(whole)]
        return [*moved, *([uniform(*self.mask)] if self.mask is not None else [])]

    def build(self, operands: Sequence[Any]) -> Any:
        inner = {"inner_heads": list(self.inner)} if self.inner else {}
        scale = 0.25 if self.has_large_scores else self.widths[0] ** -0.5
        return graph.AttentionOp.build(*operands, scale=scale, is_causal=self.is_causal, **inner)


CASES = {
    "odd sizes": Case(),
    "one of everything": Case((1,), (1, 1), 1, 1, (1, 1)),
    "no batch": Case((), (3, 3), 5, 7, (4, 4)),
    "many batches": Case((2, 1, 3), (2, 2), 3, 4, (5, 6)),
    "one query of many keys": Case((1,), (2, 2), 1, 1100, (64, 64)),
    "a vision transformer": Case((1,), (2, 2), 197, 197, (64, 64)),
    "heads that leave little room": Case((1,), (1, 1), 40, 300, (1024, 1024)),
    "wide heads": Case((1,), (1, 1), 70, 130, (128, 80)),
    "many keys": Case((1,), (1, 1), 33, 1030, (5, 3)),
    "large scores": Case(keys=40, has_large_scores=True),
    "causal": Case(rows=67, keys=67, is_causal=True),
    "causal, many keys": Case((1,), (1, 1), 600, 650, (16, 8), is_causal=True),
    "causal, fewer keys than queries": Case(rows=50, keys=19, is_causal=True),
    "causal, more keys than queries": Case(rows=19, keys=50, is_causal=True),
    "a mask for all": Case(mask=(9, 11)),
    "a mask of keys": Case(mask=(2, 1, 1, 11)),
    "a mask of batches": Case(mask=(2, 1, 9, 11)),
    "a mask of heads": Case(mask=(3, 9, 11)),
    "a mask of queries": Case(mask=(9, 1), is_causal=True),
    "a number as mask": Case(mask=()),
    "a mask of everything, many keys": Case((1,), (2, 2), 20, 700, (6, 7), (1, 2, 20, 700)),
    "groups": Case(heads=(6, 2), is_causal=True),
    "groups, no batch": Case((), (4, 1)),
    "groups with masks": Case(heads=(6, 3), mask=(2, 6, 9, 11)),
    "inner heads": Case((2,), (3, 3), 20, 21, (16, 17), inner=(0, 1, 2, 3)),
    "inner heads of some": Case(inner=(1, 3), mask=(9, 11)),
    "few queries": Case((2,), (3, 3), 3, 300, (68, 40), (3, 300)),
    "few queries in groups": Case((1,), (6, 2), 1, 257, (64, 23), (1, 1, 1, 257)),
    "few queries, inner heads": Case((1,), (4, 2), 2, 140, (33, 48), inner=(0, 1, 2, 3)),
    "few queries, causal": Case((1,), (2, 2), 6, 270, (128, 128), is_causal=True),
    "inner heads in groups": Case((), (4, 2), 19, 33, inner=(0, 2), is_causal=True),
}
LARGE = (
    "heads that leave little room",
    "a vision transformer",
    "causal, many keys",
    "wide heads",
    "a mask of everything, many keys",
)


def program_of(cases: dict[str, Case]) -> Program:
    program = Program()
    with program as p:
        for name, case in cases.items():
            p.result(name, case.build([p.argument(array) for array in case.arrays()]))
    return program


def kernels_of(compiled: terrace.CompiledModel) -> list[str]:
    return [row["op"] for row in compiled.report().rows if row["by"] == "terrace"]


@pytest.mark.parametrize("target", TARGETS)
def test_against_float64(target: str) -> None:
    # A driver that runs on the CPU takes its time.
    program = program_of({name: case for name, case in CASES.items() if target == "cpu" or name not in LARGE})
    compiled = program.compile(target)
    assert foreign_rows(compiled) == []
    assert kernels_of(compiled) == ["attention"] * len(program.names)
    program.check(compiled)


def test_in_simulated_hardware() -> None:
    program = program_of({name: case for name, case in CASES.items() if max(case.rows, case.keys) < 100})
    compiled = program.compile("hls")
    assert kernels_of(compiled) == ["attention"] * len(program.names)
    program.check(compiled)


@pytest.mark.parametrize("target", TARGETS)
def test_epilogues(target: str) -> None:
    """What follows reads tensors of the result's shape, of columns, and of rows."""
    program = Program()
    with program as p:
        for inner in ((), (0, 3)):
            case = Case(inner=inner)
            arrays = case.arrays()
            shape = (2, 9, 3, 5) if inner else (2, 3, 9, 5)
            y = case.build([p.argument(array) for array in arrays])
            y = graph.MulOp.build(y, p.argument(uniform(5)))
            y = graph.AddOp.build(y, p.argument(uniform(*shape)))
            y = graph.MaximumOp.build(y, p.argument(uniform(*shape[:-1], 1)))
            p.result(f"inner heads {inner}", graph.ReluOp.build(y))
    compiled = program.compile(target)
    assert kernels_of(compiled) == ["attention+mul+add+maximum+relu"] * 2
    program.check(compiled)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_dynamic_sizes(target: str, is_causal: bool) -> None:
    """Batches, rows and keys of any number; of no keys the result is 0, as PyTorch has it."""

    factor = uniform(8)

    def arrays(batches: int, rows: int, keys: int) -> list[np.ndarray]:
        plain = [uniform(batches, 3, n, 8) for n in (rows, keys, keys)]
        grouped = [uniform(batches, rows, 4, 5), uniform(batches, 2, keys, 5), uniform(batches, 2, keys, 7)]
        return [*plain, uniform(rows, keys), *grouped, factor]

    program = Program()
    with program as p:
        dynamic = [(0, 2)] * 3 + [(0, 1), (0, 1), (0, 2), (0, 2)]
        values = [p.argument(array, axes) for array, axes in zip(arrays(2, 3, 4), [*dynamic, ()], strict=True)]
        plain = {"scale": 0.5, "is_causal": is_causal}
        y = graph.AttentionOp.build(*values[:4], **plain)
        p.result("masked", graph.MulOp.build(graph.ReluOp.build(y), values[7]))
        p.result("grouped", graph.AttentionOp.build(*values[4:7], **plain, inner_heads=[0, 3]))
    compiled = program.compile(target)
    assert kernels_of(compiled) == ["attention+relu+mul", "attention"]
    sizes = [(1, 1, 1), (2, 5, 9), (1, 70, 33), (3, 17, 530), (1, 1, 1200)]
    if target == "cpu":
        sizes += [(2, 3, 0), (0, 3, 4), (2, 0, 4)]
    for batches, rows, keys in sizes:
        inputs = arrays(batches, rows, keys)
        if keys:
            program.check(compiled, inputs)
        else:
            assert all((result == 0).all() for result in program.results(compiled, inputs).values())


def definition(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """softmax(q k^T + mask) v in float64."""
    scores = q.astype(float) @ np.swapaxes(k, -1, -2) + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v.astype(float)


@pytest.mark.parametrize("keys", [20, 1100])
@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_values_that_hurt(target: str, few: bool, keys: int) -> None:
    """NaN and infinities in scores and values, keys that are hidden at first, at last, and all of them (NaN)."""
    width = 32 if few else 8
    q, k, v = uniform(1, 20, width), uniform(1, keys, width), uniform(1, keys, 5)
    mask = np.zeros((20, keys), np.float32)
    mask[0, : keys - 1] = -np.inf
    mask[1, 1:] = -np.inf
    mask[2] = -np.inf
    mask[3, ::2] = -np.inf
    mask[4, 3] = np.inf
    mask[5, 7] = np.nan
    mask[6, keys - 2] = np.inf
    mask[7] = -1e38
    mask[8, 0] = 1e38
    q[0, 9], q[0, 10, 2] = np.inf, np.nan
    v[0, 5, 2], v[0, 6, 3], v[0, keys - 1, 4] = np.nan, np.inf, -np.inf
    program = Program()
    with program as p:
        for first in range(0, 20, 2 if few else 20):
            rows = slice(first, first + 2 if few else 20)
            operands = [p.argument(array) for array in (q[:, rows], k, v, mask[rows])]
            p.result(f"attention {first}", graph.AttentionOp.build(*operands, scale=1.0, is_causal=False))
    result = np.concatenate([*program.results(program.compile(target)).values()], 1)
    with np.errstate(all="ignore"):
        wanted = definition(q, k, v, mask)
    np.testing.assert_allclose(result, wanted, rtol=2e-6, atol=3e-6)


def test_hidden_keys_do_not_count_however_large() -> None:
    """Causal: what a key that is hidden holds changes no bit, within a block of keys and beyond it."""
    case = Case((1,), (1, 1), 40, 40, (8, 8), is_causal=True)
    program = program_of({"causal": case})
    compiled = program.compile()
    (before,) = program.results(compiled).values()
    changed = [array.copy() for array in program.inputs]
    changed[1][..., 20:, :] = np.nan
    changed[2][..., 20:, :] = 7.0
    (after,) = program.results(compiled, changed).values()
    np.testing.assert_array_equal(after[..., :20, :], before[..., :20, :])
    assert np.isnan(after[..., 20:, :]).all()


@pytest.mark.parametrize("rows", [1, 40])
def test_blocks_of_hidden_keys_are_not_read(rows: int) -> None:
    """A cache may hold anything behind what is filled. Beside keys that are seen, it counts as PyTorch has it."""
    q, k, v = uniform(1, rows, 64), uniform(1, 1024, 64), uniform(1, 1024, 64)
    mask = np.where(np.arange(1024) < 300, 0, -np.inf).astype(np.float32)[None].repeat(rows, 0)
    k[:, 384:], v[:, 384:] = np.nan, np.inf
    program = Program()
    with program as p:
        operands = [p.argument(array) for array in (q, k, v, mask)]
        p.result("attention", graph.AttentionOp.build(*operands, scale=0.125, is_causal=False))
    compiled = program.compile()
    (result,) = program.results(compiled).values()
    wanted = definition(q * np.float32(0.125), k[:, :300], v[:, :300], np.zeros(()))
    np.testing.assert_allclose(result, wanted, rtol=2e-6, atol=3e-6)
    v[:, 301] = np.nan
    (result,) = program.results(compiled, [q, k, v, mask]).values()
    assert np.isnan(result).all()


# -- schedules --------------------------------------------------------------------------------------------------------

EDITS = {
    "small tiles": Schedule.of({}, {"m": 1, "s": 1}, staged=("query",)),
    "odd tiles": Schedule.of({"m": 3, "n": 3, "s": 5}, {"m": 6, "s": 10}, ("m",), staged=("query",)),
    "one workgroup": Schedule.of({"m": 16, "n": 2, "s": 4}, staged=("query",)),
    "blocks of keys": Schedule.of({"m": 32, "n": 8, "s": 8}, {"m": 32, "s": 16}, staged=("query",)),
    "rows": Schedule.of({"m": 3, "n": 3, "s": 5, "e": 4}, {"m": 6, "s": 10}, ("m",), variant=ROWS),
    "a row": Schedule.of({"m": 1, "n": 16, "s": 1, "e": 16}, {"s": 3}, variant=ROWS),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_schedules(name: str) -> None:
    program = program_of({n: c for n, c in CASES.items() if n not in LARGE and c.keys < 1000})
    compiled = program.compile()
    changes = {kernel: EDITS[name] for kernel in schedules_of(compiled)}
    other = program.compile(text=edited(compiled.ir("kernel"), changes))
    before, after = loops_of(compiled.ir("loop")), loops_of(other.ir("loop"))
    assert sum(before[kernel] != after[kernel] for kernel in before) >= len(before) - 1
    program.check(other)
    if EDITS[name].block("s"):
        return
    # The order of sums depends on the blocks of keys, on those of the queries that see as many, and on the variant.
    found = program.results(other)
    for case, values in program.results(compiled).items():
        if not CASES[case].is_causal and not case.startswith("few queries"):
            np.testing.assert_array_equal(found[case], values, err_msg=case)


@pytest.mark.parametrize(("bits", "workers"), [(128, 1), (256, 8), (512, 8)])
def test_cpus_agree_with_float64(bits: int, workers: int) -> None:
    if bits == 512 and "avx512f" not in host_features():
        pytest.skip("REQUIRES: AVX-512")
    program = program_of({n: CASES[n] for n in ("odd sizes", "causal, many keys", "groups", "inner heads")})
    cpu = CpuDescription(vector_bits=bits, vector_registers=32 if bits == 512 else 16, workers=workers)
    program.check(program.compile(terrace.Target(cpu=cpu, threads=2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Schedule.of({"m": 4}), "attention needs 'query' staged"),
        (Schedule.of({"m": 4}, staged=("query", "key")), "'key' cannot enter 'local'"),
        (Schedule.of({"m": 4, "e": 2}, {"m": 4}, staged=("query",)), "tile size of 'e' must be 1"),
        (Schedule.of({"m": 4, "e": 2}, {"m": 4}, variant=ROWS), "variant 'rows' needs a block size of 's'"),
        (Schedule.of({"m": 4}, {"m": 4, "s": 2}, staged=("query",), variant=SKIPPING), "'skipping' needs a mask"),
    ],
)
def test_a_schedule_that_cannot_be_followed_is_refused(change: Schedule, message: str) -> None:
    program = program_of({"odd sizes": Case()})
    text = program.compile().ir("kernel")
    (kernel,) = schedules_of(program.compile())
    with pytest.raises(PassError, match=message):
        program.compile(text=edited(text, {kernel: change}))


def test_what_is_refused_is_decomposed() -> None:
    """Heads of unknown size, or too large for local memory, and float64, as two products and a softmax."""
    program = Program()
    with program as p:
        q = p.argument(uniform(2, 5, 8), (2,))
        p.result("a head of any size", graph.AttentionOp.build(q, q, q, scale=1.0, is_causal=False))
        q = p.argument(uniform(2, 5, 1100))
        p.result("a large head", graph.AttentionOp.build(q, q, q, scale=0.03, is_causal=False))
        q = p.argument(uniform(2, 5, 8, dtype="float64"))
        p.result("float64", graph.AttentionOp.build(q, q, q, scale=1.0, is_causal=False))
    compiled = program.compile()
    assert "attention" not in kernels_of(compiled) and "graph.softmax" in compiled.ir("graph")
    program.check(compiled)
