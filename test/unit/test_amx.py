"""Products by AMX: kernels with their instructions emulated, where they are chosen, and the assembly of real ones."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest
import terrace
import torch
from amx_emulation import NEEDED, emulate_amx
from graph_program import Program, schedules_of
from terrace.compiler import Request, Text, lower
from terrace.compiler.kernel_texts import split_assembly
from terrace.dialects import graph
from terrace.mlir import ir
from terrace.runtime.cpu_features import missing_features
from test_cpu_atoms import AVX2, assembly
from torch import nn

needs_avx512 = pytest.mark.skipif(bool(missing_features(NEEDED)), reason="what emulates AMX needs AVX-512")

SHAPES = [(16, 1, 1), (17, 3, 2), (37, 20, 65), (33, 70, 513), (64, 64, 128), (40, 17, 1100), (16, 33, 67)]
"""m, n, k: rows and columns that fill no block, k that leaves 1 to 3 elements of a step, and of a chunk."""

FEATURES = (*AVX2, "amx-bf16", "amx-int8", "amx-tile", "avx512bf16", "avx512bw", "avx512f", "avx512vl", "avx512vnni")
"""What a CPU has that has AMX."""

needs_amx = pytest.mark.skipif(bool(missing_features(FEATURES)), reason="this CPU has no AMX, or Linux gives none")


def products(operand: str, shapes: list[tuple[int, int, int]], dynamic: bool = False) -> Program:
    """Products by weights of all the shapes, each with both layouts of the weights."""
    random, program = np.random.default_rng(0), Program()
    with program as p:
        for (m, n, k), transposed in itertools.product(shapes, (False, True)):
            sizes = (m, k), (n, k) if transposed else (k, n)
            if operand == "i8":
                lhs, rhs = (random.integers(-128, 128, size, dtype=np.int8) for size in sizes)
                lhs[:1], rhs[:, :1] = -128, -128
            else:
                lhs, rhs = (random.uniform(-1, 1, size).astype(ml_dtypes.bfloat16) for size in sizes)
            result = ir.Type.parse("i32" if operand == "i8" else "f32")
            argument = p.argument(lhs, dynamic=(0,) if dynamic else ())
            rows = argument.type.shape[0]
            type_ = ir.RankedTensorType.get([rows, n], result)
            product = graph.MatmulOp.build(argument, p.parameter(rhs), transpose_rhs=transposed, result_type=type_)
            p.result(f"{m}x{n}x{k} {transposed}", product)
    return program


@needs_avx512
@pytest.mark.parametrize(("operand", "atom"), [("bf16", "amx_bf16"), ("i8", "amx_int8")])
@pytest.mark.parametrize("dynamic", [False, True])
def test_products_of_blocks(operand: str, atom: str, dynamic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Integers are the same to the bit, floats near float64 sums."""
    emulate_amx(monkeypatch)
    program = products(operand, SHAPES[1:4] if dynamic else SHAPES, dynamic)
    compiled = program.compile(terrace.Target(threads=1 + dynamic))
    assert {schedule.atom for schedule in schedules_of(compiled).values()} == {atom}
    program.check(compiled)
    if dynamic:
        for rows in (0, 1, 16, 50):
            program.check(compiled, [np.resize(x, (rows, x.shape[1])) for x in program.inputs])


@needs_amx
@pytest.mark.parametrize(("operand", "atom"), [("bf16", "amx_bf16"), ("i8", "amx_int8")])
@pytest.mark.parametrize("threads", [1, 2])
def test_products_of_real_blocks(operand: str, atom: str, threads: int) -> None:
    """As `test_products_of_blocks`, by the CPU's own instructions."""
    program = products(operand, SHAPES)
    compiled = program.compile(terrace.Target(threads=threads, features=FEATURES))
    assert {schedule.atom for schedule in schedules_of(compiled).values()} == {atom}
    program.check(compiled)


@needs_avx512
def test_what_fills_a_block_up_meets_no_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond k there are zeros, in both operands; a row of NaN spoils no other."""
    emulate_amx(monkeypatch)
    program = products("bf16", [(17, 5, 3)])
    compiled = program.compile(terrace.Target(threads=1))
    inputs = [x.copy() for x in program.inputs]
    for x in inputs:
        x[3] = np.nan
        x[16, 2] = np.inf
    for y, wanted in zip(program.results(compiled, inputs).values(), program.expected(), strict=True):
        assert np.isnan(y[3]).all() and np.isinf(y[16]).all()
        np.testing.assert_allclose(np.delete(y, (3, 16), 0), np.delete(wanted, (3, 16), 0), atol=1e-5)


@needs_avx512
def test_an_epilogue_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of "medium": float32 layers in bfloat16, with bias and activation."""
    emulate_amx(monkeypatch)
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(70, 33), nn.ReLU(), nn.Linear(33, 20)).eval(), torch.randn(21, 70)
    compiled = terrace.compile(model, (x,), precision="medium", target=terrace.Target(threads=1))
    assert compiled.ir("kernel").count('atom = "amx_bf16"') == 2
    with torch.no_grad():
        wanted = model.double()(x.double())
    assert (compiled(x) - wanted).abs().max() < 2e-2 * wanted.abs().max()


@needs_avx512
def test_a_quantised_network_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(70, 33), nn.GELU(), nn.Linear(33, 20)).eval(), torch.randn(21, 70)
    target, options = terrace.Target(threads=1), {"quantize": "int8", "calibration": [(x,)]}
    wanted = terrace.compile(model, (x,), target=target, options=options)(x)
    emulate_amx(monkeypatch)
    compiled = terrace.compile(model, (x,), target=target, options=options)
    assert compiled.ir("kernel").count('atom = "amx_int8"') == 2
    assert torch.equal(compiled(x), wanted)


@pytest.mark.parametrize(("operand", "multiply"), [("bf16", "tdpbf16ps"), ("i8", "tdpbssd")])
def test_the_assembly_of_a_cpu_with_amx(operand: str, multiply: str) -> None:
    """Registers are configured once, as 16 rows of 64 bytes, and released; loops keep the sums in them."""
    target = terrace.Target(threads=1, features=FEATURES)
    text = split_assembly(assembly(products(operand, [(100, 70, 1100)]).text, target))
    (body,) = [body for name, body in text.items() if name.startswith("matmul")]
    assert body.count("ldtilecfg") == body.count("tilerelease") == 1
    configured = body[: body.index("ldtilecfg")]
    assert configured.count("movb\t$16, ") == configured.count("movw\t$64, ") == 8
    # Tiles are 2x2 blocks, and 1x2, 2x1 and 1x1 at the ends, each over whole steps and what is left of k.
    assert body.count(multiply) == 2 * 9
    assert body.count("tilezero") == body.count("tilestored") == 9, "none is stored but at the end"


@pytest.mark.parametrize(
    ("rows", "atoms"), [(1, [None, "int8_dot"]), (15, [None, "int8_dot"]), (16, ["amx_bf16", "amx_int8"])]
)
def test_few_rows_are_multiplied_by_vectors(rows: int, atoms: list[str | None]) -> None:
    """vdpbf16ps is slower than multiply-adds on those CPUs."""
    chosen = []
    for operand in ("bf16", "i8"):
        program = products(operand, [(rows, 64, 64)])
        target = terrace.Target(threads=1, features=FEATURES)
        text = lower(Text(program.text), Request.of(target), until="kernel").ir["kernel"]
        chosen += [next((name for name in ("amx_bf16", "amx_int8", "int8_dot") if f'"{name}"' in text), None)]
    assert chosen == atoms
