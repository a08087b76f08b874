"""The steps that CPUs multiply with: the same integers as multiply-adds, and chosen by features alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import terrace
import torch
from graph_program import Program, schedules_of
from terrace.dialects import graph
from terrace.lowering.target.cpu.atoms import machine_of
from terrace.mlir import ir
from terrace.runtime.cpu_features import host_features
from terrace.target import COMPUTE_FEATURES, CpuDescription
from torch import nn

HOST = tuple(sorted(COMPUTE_FEATURES & set(host_features())))
INT8_DOT = {"avx512vnni", "avx512vl", "avx512bw"}
BF16_DOT = {"avx512bf16", "avx512vl", "avx512bw"}
needs_bf16_dot = pytest.mark.skipif(
    not set(HOST) >= BF16_DOT or "amx-bf16" in HOST, reason="this CPU has no AVX-512 BF16, or a slow one"
)
needs_int8_dot = pytest.mark.skipif(not set(HOST) >= INT8_DOT, reason="this CPU has no AVX-512 VNNI")

SHAPES = [*itertools.product((1, 5), (1, 2, 3, 20), (1, 3, 6)), (9, 70, 8), (33, 64, 513), (2, 129, 31), (0, 4, 4)]
"""m, n, k: k that leaves 1, 2 and 3 elements, n that fills no vector."""


def products() -> Program:
    """Products of all the shapes, of int8 over its whole range, and with -128 alone."""
    random, program = np.random.default_rng(0), Program()
    with program as p:
        for (m, n, k), transposed in itertools.product(SHAPES, (False, True)):
            lhs = random.integers(-128, 128, (m, k), dtype=np.int8)
            rhs = random.integers(-128, 128, (n, k) if transposed else (k, n), dtype=np.int8)
            lhs[:1], rhs[:, :1] = -128, -128
            type_ = ir.RankedTensorType.get([m, n], ir.IntegerType.get_signless(32))
            product = graph.MatmulOp.build(
                p.argument(lhs), p.parameter(rhs), transpose_rhs=transposed, result_type=type_
            )
            p.result(f"{m}x{n}x{k} {transposed}", product)
    return program


@needs_int8_dot
def test_int8_dot_gives_the_same_integers() -> None:
    program = products()
    compiled = program.compile(terrace.Target(threads=1))
    assert {schedule.atom for schedule in schedules_of(compiled).values()} == {"int8_dot"}
    program.check(compiled)


def test_without_the_features_it_is_not_chosen() -> None:
    plain = tuple(name for name in HOST if "vnni" not in name)
    program = products()
    compiled = program.compile(terrace.Target(threads=1, features=plain))
    assert {schedule.atom for schedule in schedules_of(compiled).values()} == {None}
    program.check(compiled)


@needs_bf16_dot
@pytest.mark.parametrize("with_bias", [False, True])
def test_bf16_dot_is_as_exact_as_float32_sums(with_bias: bool) -> None:
    """Against float64, rounded once: operands are bfloat16, sums float32."""
    for m, n, k in SHAPES:
        torch.manual_seed(m + n + k)
        layer = nn.Linear(k, n, bias=with_bias).bfloat16().eval()
        x = torch.randn(m, k).bfloat16()
        compiled = terrace.compile(layer, (x,), target=terrace.Target(threads=1))
        assert not m or "bf16_dot" in compiled.ir("kernel")
        products = x.double().abs() @ layer.weight.double().abs().T
        with torch.no_grad():
            wanted = nn.functional.linear(x.double(), layer.weight.double(), layer.bias.double() if with_bias else None)
        bound = 2**-8 * wanted.abs() + k * 2**-23 * products + 1e-38
        assert ((compiled(x).double() - wanted).abs() <= bound).all(), (m, n, k)


@needs_int8_dot
def test_operands_that_are_no_weights_are_not_packed_for_it() -> None:
    program, ones = Program(), np.ones((4, 8), np.int8)
    with program as p:
        type_ = ir.RankedTensorType.get([4, 4], ir.IntegerType.get_signless(32))
        p.result(
            "product", graph.MatmulOp.build(p.argument(ones), p.argument(ones), transpose_rhs=True, result_type=type_)
        )
    compiled = program.compile(terrace.Target(threads=1))
    assert [schedule.atom for schedule in schedules_of(compiled).values()] == [None]
    program.check(compiled)


@pytest.mark.parametrize(
    ("features", "bits", "types", "atom"),
    [
        (INT8_DOT, 512, ("i8", "i8", "i32"), "int8_dot"),
        (INT8_DOT - {"avx512bw"}, 512, ("i8", "i8", "i32"), None),
        (INT8_DOT, 256, ("i8", "i8", "i32"), None),
        ({"avx2", "fma", "avxvnni"}, 256, ("i8", "i8", "i32"), None),
        (BF16_DOT, 512, ("bf16", "bf16", "f32"), "bf16_dot"),
        (BF16_DOT, 512, ("f16", "f16", "f32"), None),
        (BF16_DOT | {"amx-bf16"}, 512, ("bf16", "bf16", "f32"), None),
    ],
)
def test_features_decide(features: set[str], bits: int, types: tuple[str, ...], atom: str | None) -> None:
    target = terrace.Target(features=tuple(sorted(features)), cpu=CpuDescription(vector_bits=bits))
    best = machine_of(target).best_atom(types)
    assert (best and best.name) == atom
    assert machine_of(target).best_atom(("f32", "f32", "f32")) is None
