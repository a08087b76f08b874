"""The steps that CPUs multiply with: the same integers as multiply-adds, and chosen by features alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest
import terrace
import torch
from generator_programs import CONVS, conv
from graph_program import Program, schedules_of
from terrace.compiler import Request, Text, lower
from terrace.dialects import graph
from terrace.dialects.base import shape_of
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.matmul.schedule import schedule_for_vectors
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.target.backend import backend_of
from terrace.lowering.target.cpu.atoms import machine_of
from terrace.mlir import ir
from terrace.runtime.cpu_features import host_features, missing_features
from terrace.target import COMPUTE_FEATURES, CpuDescription
from torch import nn

HOST = tuple(sorted(COMPUTE_FEATURES & set(host_features())))
INT8_DOT = {"avx512vnni", "avx512vl", "avx512bw"}
BF16_DOT = {"avx512bf16", "avx512vl", "avx512bw"}
needs_bf16_dot = pytest.mark.skipif(
    not set(HOST) >= BF16_DOT or "amx-bf16" in HOST, reason="this CPU has no AVX-512 BF16, or a slow one"
)
needs_int8_dot = pytest.mark.skipif(not set(HOST) >= INT8_DOT, reason="this CPU has no AVX-512 VNNI")

AVX2 = ("avx", "avx2", "f16c", "fma", "sse", "sse2", "sse3", "sse4.1", "sse4.2", "ssse3")
"""What all CPUs have that have AVX2."""

VECTORS = tuple(name for name in HOST if not name.startswith("amx"))
"""What this CPU has that multiplies vectors."""

INT8 = TypeRule(("i8", "i8"), "i32", ("i32",))

SHAPES = [*itertools.product((1, 5), (1, 2, 3, 20), (1, 3, 6)), (9, 70, 8), (33, 64, 513), (2, 129, 31), (0, 4, 4)]
"""m, n, k: k that leaves 1, 2 and 3 elements, n that fills no vector."""

ACTIVATIONS = [
    *((17, n, k) for n, k in ((1, 4), (15, 1), (16, 3), (17, 5), (64, 197), (197, 64))),
    (2, 64, 64),
    (197, 197, 67),
    (33, 70, 130),
    (500, 700, 70),
    (0, 4, 4),
]
"""The same, for operands that a worker packs: all and parts of the words of a vector, more than one block of these."""


def assembly(text: str, target: terrace.Target) -> str:
    """The assembly of a program for a resolved or unresolved target, which need not be this machine."""
    target = target.resolve((), 1)
    backend = backend_of(target)
    return backend.assembly(lower(Text(text), Request.of(target)).ir[backend.level], backend.iree_flags())


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


def products_of_activations() -> Program:
    """As `products`, but nothing is known before the call; some are of several matrices."""
    random, program = np.random.default_rng(0), Program()
    with program as p:
        for (m, n, k), transposed, batch in itertools.product(ACTIVATIONS, (False, True), ((), (2,))):
            lhs = random.integers(-128, 128, (*batch, m, k), dtype=np.int8)
            rhs = random.integers(-128, 128, (*batch, *((n, k) if transposed else (k, n))), dtype=np.int8)
            lhs[..., :1, :], rhs[..., :1], rhs[..., -1:] = -128, -128, 127
            type_ = ir.RankedTensorType.get([*batch, m, n], ir.IntegerType.get_signless(32))
            op = graph.BatchMatmulOp if batch else graph.MatmulOp
            product = op.build(p.argument(lhs), p.argument(rhs), transpose_rhs=transposed, result_type=type_)
            p.result(f"{m}x{n}x{k} {transposed} {batch}", product)
        square = p.argument(random.integers(-128, 128, (9, 9), dtype=np.int8))
        type_ = ir.RankedTensorType.get([9, 9], ir.IntegerType.get_signless(32))
        p.result("itself", graph.MatmulOp.build(square, square, transpose_rhs=True, result_type=type_))
    return program


@needs_int8_dot
@pytest.mark.parametrize(
    ("make", "threads"), [(products, 1), (products_of_activations, 1), (products_of_activations, 4)]
)
def test_int8_dot_gives_the_same_integers(make: Callable[[], Program], threads: int) -> None:
    program = make()
    compiled = program.compile(terrace.Target(threads=threads, features=VECTORS))
    assert {schedule.atom for schedule in schedules_of(compiled).values()} == {"int8_dot"}
    program.check(compiled)


@needs_int8_dot
def test_few_rows_and_unknown_sizes_do_not_pay_for_packing() -> None:
    """Nor does a sum of no terms need it; results are the same."""
    random, program, i32 = np.random.default_rng(0), Program(), ir.IntegerType.get_signless
    with program as p:
        for m, n, k, dynamic in ((1, 64, 64, ()), (3, 5, 0, ()), (0, 0, 4, ()), (9, 20, 8, (0,)), (9, 20, 8, (1,))):
            lhs, rhs = (random.integers(-128, 128, shape, dtype=np.int8) for shape in ((m, k), (n, k)))
            columns = ir.ShapedType.get_dynamic_size() if 0 in dynamic else n
            type_ = ir.RankedTensorType.get([m, columns], i32(32))
            operands = p.argument(lhs, (1,) if 1 in dynamic else ()), p.argument(rhs, dynamic)
            p.result(f"{m}x{n}x{k} {dynamic}", graph.MatmulOp.build(*operands, transpose_rhs=True, result_type=type_))
    compiled = program.compile(terrace.Target(threads=1))
    assert {schedule.atom for schedule in schedules_of(compiled).values()} == {None}
    program.check(compiled)


@pytest.mark.parametrize(
    ("features", "atom", "instruction"),
    [(AVX2, "int8_pairs", "vpmaddwd"), ((*AVX2, "avxvnni"), "int8_dot_256", "{vex}\tvpdpbusd")],
)
@pytest.mark.parametrize("make", [products, products_of_activations, lambda: convs(int8, "i32")])
def test_cpus_without_avx512_have_int8_atoms(
    make: Callable[[], Program], features: tuple[str, ...], atom: str, instruction: str
) -> None:
    """The instructions are made anywhere; they run, over all shapes, where this CPU has them."""
    program, target = make(), terrace.Target(threads=1, features=features)
    assert instruction in assembly(program.text, target)
    if not missing_features(features):
        compiled = program.compile(target)
        # Depthwise convolutions, whose tiles have several groups, need more registers than these CPUs have.
        chosen = [schedule for schedule in schedules_of(compiled).values() if schedule.tile("g") == 1]
        assert {schedule.atom for schedule in chosen} == {atom}
        program.check(compiled)


def test_without_the_features_it_is_not_chosen() -> None:
    plain = tuple(name for name in VECTORS if "vnni" not in name)
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


MORE_CONVS = {
    "channels of whole steps": {"image": (1, 6, 20, 8), "weight": (70, 8, 3, 3), "padding": (1, 1, 1, 1)},
    "one more channel": {"image": (2, 5, 9, 9), "weight": (20, 9, 2, 3), "padding": (1, 0, 0, 1), "strides": (2, 2)},
    "1x1, stride 2": {"image": (1, 9, 9, 12), "weight": (16, 12, 1, 1), "strides": (2, 2)},
    "three groups of five": {"image": (1, 7, 7, 15), "weight": (21, 5, 3, 3), "groups": 3, "padding": (1, 1, 1, 1)},
    "more rows than local memory": {"image": (1, 96, 96, 128), "weight": (5, 128, 3, 3), "padding": (2, 2, 2, 2)},
    "not even a row": {"image": (1, 1, 999, 600), "weight": (4, 600, 1, 1), "padding": (1, 1, 1, 1)},
}


def convs(make: Callable[..., np.ndarray], result: str) -> Program:
    """Convolutions of what `make` gives for a shape, padding, steps, groups and channels of all sizes."""
    program = Program()
    with program as p:
        for name, case in {**CONVS, **MORE_CONVS}.items():
            attributes = {key: value for key, value in case.items() if key not in ("image", "weight")}
            image, weight = p.argument(make(*case["image"])), p.parameter(make(*case["weight"]))
            narrow = conv(p, image, weight, **attributes)
            type_ = ir.RankedTensorType.get(shape_of(narrow), ir.Type.parse(result))
            p.result(name, conv(p, image, weight, **attributes, result_type=type_))
            narrow.owner.erase()  # it only told the shape
    return program


def int8(*shape: int) -> np.ndarray:
    """Numbers of the whole range, and every other image of -128 alone."""
    array = np.random.default_rng(sum(shape)).integers(-128, 128, shape, dtype=np.int8)
    array[1::2] = -128
    return array


def bfloat16(*shape: int) -> np.ndarray:
    values = np.random.default_rng(sum(shape)).uniform(-1, 1, shape)
    return values.astype(ml_dtypes.bfloat16)


@needs_int8_dot
def test_convolutions_by_int8_dot_give_the_same_integers() -> None:
    program = convs(int8, "i32")
    compiled = program.compile(terrace.Target(threads=1))
    assert sum(schedule.atom == "int8_dot" for schedule in schedules_of(compiled).values()) >= len(CONVS) - 2
    program.check(compiled)


@needs_bf16_dot
def test_convolutions_by_bf16_dot_are_float32_sums() -> None:
    """Operands are bfloat16, results are not rounded to it: float64 sums of the same numbers are near."""
    program = convs(bfloat16, "f32")
    compiled = program.compile(terrace.Target(threads=1))
    assert sum(schedule.atom == "bf16_dot" for schedule in schedules_of(compiled).values()) >= len(CONVS) - 2
    program.check(compiled)


@needs_bf16_dot
def test_what_is_beyond_the_channels_is_not_multiplied() -> None:
    """Three channels in steps of two: the fourth is not read, nor is what local memory held before."""
    program, image = Program(), bfloat16(1, 4, 4, 3)
    image[0, 0, 0] = np.nan
    with program as p:
        weight = p.parameter(bfloat16(2, 3, 1, 1))
        p.result("y", conv(p, p.argument(image), weight, padding=(1, 1, 1, 1)))
    y = program.results(program.compile(terrace.Target(threads=1)))["y"]
    assert np.isnan(y[0, 1, 1]).all() and np.isnan(y.astype(np.float32)).sum() == 2


@pytest.mark.parametrize("transposed", [False, True])
def test_what_a_worker_packs_fits_its_memory(transposed: bool) -> None:
    """Columns that are too long for it are multiplied without an atom."""
    machine = machine_of(terrace.Target(features=tuple(sorted(INT8_DOT)), cpu=CpuDescription(workers=2)))
    names, kinds = ("m", "n", "k"), ("parallel", "parallel", "reduction")
    chosen = []
    for m, n, k in itertools.product((2, 500), (1, 70, 9000), (1, 67, 5000, 80000)):
        schedule = schedule_for_vectors(
            IterationSpace(names, kinds, (m, n, k)), transposed, (False, False), INT8, machine
        )
        chosen.append((k, schedule.atom))
        if schedule.atom is not None:
            columns = schedule.block("n")
            assert columns % schedule.tile("n") == 0 < columns
            assert columns * (-(-k // 4) * 4 + 4) <= machine.near_bytes
    assert {atom for k, atom in chosen if k < 80000} == {"int8_dot"}
    assert {atom for k, atom in chosen if k == 80000} == {None}


@pytest.mark.parametrize(
    ("features", "bits", "types", "atom"),
    [
        (INT8_DOT, 512, ("i8", "i8", "i32"), "int8_dot"),
        (INT8_DOT - {"avx512bw"}, 512, ("i8", "i8", "i32"), None),
        (INT8_DOT, 256, ("i8", "i8", "i32"), None),
        ({"avx2", "fma", "avxvnni"}, 256, ("i8", "i8", "i32"), "int8_dot_256"),
        ({"avx2", "fma", "avxvnni"}, 128, ("i8", "i8", "i32"), None),
        ({"avx2", "fma"}, 256, ("i8", "i8", "i32"), "int8_pairs"),
        ({"avx", "fma"}, 256, ("i8", "i8", "i32"), None),
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
