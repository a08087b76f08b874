"""Winograd's variants of convolutions: their matrices, shapes that hurt under random schedules, when they are chosen.

A layer's error against float64 is at most LAYER * max|y|, of numbers that are spread evenly (`docs/numerics.md`).
"""

from __future__ import annotations

import random

import ml_dtypes
import numpy as np
import pytest
import terrace
from generator_programs import conv, f32, uniform
from graph_program import MLIR_NAMES, Program, edited, foreign_rows, schedules_of
from terrace.dialects import graph
from terrace.element_types import ELEMENT_TYPES
from terrace.errors import CompileError
from terrace.lowering.graph.builders import convert, splat
from terrace.lowering.graph.evaluation.arrays import widen
from terrace.lowering.kernels.conv2d.winograd_shape import VARIANTS
from terrace.lowering.kernels.packing import Transform
from terrace.lowering.kernels.schedule import DIRECT, Schedule
from terrace.lowering.kernels.toom_cook import POINTS, TAPS, matrices
from terrace.mlir import ir
from terrace.target import CpuDescription

LAYER = 5e-6

IMAGES = [
    # image, output channels, padding: odd sizes, less than a tile, one pixel, batches, channels that fill no vector
    ((1, 9, 11, 5), 33, (1, 1, 1, 1)),
    ((2, 1, 1, 8), 16, (1, 1, 1, 1)),
    ((1, 3, 3, 2), 3, (0, 0, 0, 0)),
    ((1, 6, 7, 3), 4, (0, 0, 0, 2)),
    ((3, 13, 17, 20), 37, (2, 2, 2, 2)),
    ((1, 4, 4, 16), 32, (1, 1, 1, 1)),
    ((1, 8, 30, 1), 1, (1, 0, 0, 1)),
    ((2, 28, 28, 24), 40, (1, 1, 1, 1)),
    ((1, 1, 40, 7), 5, (1, 1, 1, 1)),
    ((1, 40, 1, 7), 5, (1, 1, 1, 1)),
    ((1, 5, 5, 300), 130, (2, 0, 1, 2)),  # a chunk of input channels, and a part of one
    ((1, 3, 6, 512), 9, (1, 1, 1, 1)),
]


@pytest.mark.parametrize("outputs", POINTS)
def test_the_matrices_convolve(outputs: int) -> None:
    rng = np.random.default_rng(0)
    inputs, filter_ = rng.uniform(-1, 1, outputs + TAPS - 1), rng.uniform(-1, 1, TAPS)
    results, weights, transform = matrices(outputs)
    found = results @ ((weights @ filter_) * (transform @ inputs))
    np.testing.assert_allclose(found, np.convolve(inputs, filter_[::-1], "valid"), rtol=0, atol=1e-14)


@pytest.fixture(scope="module")
def layers() -> tuple[Program, terrace.CompiledModel]:
    program = Program()
    with program as p:
        for image, channels, padding in IMAGES:
            weight, bias = p.parameter(uniform(channels, image[3], 3, 3)), p.parameter(uniform(channels))
            y = graph.AddOp.build(conv(p, p.argument(uniform(*image)), weight, padding=padding), bias)
            y = graph.AddOp.build(y, p.argument(uniform(*list(y.type.shape))))
            p.result(f"{image} {channels} {padding}", graph.MaximumOp.build(y, splat(-0.5, f32())))
    compiled = program.compile(winograd=False)
    assert {schedule.variant for schedule in schedules_of(compiled).values()} == {DIRECT}
    return program, compiled


def _random(rng: random.Random, variant: str) -> Schedule:
    m = VARIANTS[variant]
    tile = {"oc": rng.choice([8, 16, 32, 48]), "oh": m * rng.choice([1, 1, 2, 3]), "ow": m * rng.choice([1, 2, 5, 7])}
    blocks = {dim: tile[dim] * rng.choice([1, 1, 2, 3]) for dim in ("ow", "oc") if rng.random() < 0.7}
    blocks |= {"n": rng.choice([1, 1, 2]), "ic": rng.choice([4, 16, 32])}
    parallel = [dim for dim in ("n", "ow", "oc") if dim in blocks and rng.random() < 0.6]
    packed = {"weight": Transform((m, m), (tile["oc"] * rng.choice([1, 2]),))}
    tile["ic"] = rng.choice([1, 2, 4])
    return Schedule.of(tile, blocks, parallel, packed, ("input",), variant=variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes_that_hurt(layers: tuple[Program, terrace.CompiledModel], variant: str) -> None:
    """Near float64 by any schedule, which changes no bit."""
    program, compiled = layers
    rng, first = random.Random(0), None
    for threads in (1, 1, 2):
        changes = {name: _random(rng, variant) for name in schedules_of(compiled)}
        target = terrace.Target(threads=threads)
        other = program.compile(target, text=edited(compiled.ir("kernel"), changes))
        assert foreign_rows(other) == []
        found = program.results(other)
        for (name, values), wanted in zip(found.items(), program.expected(), strict=True):
            np.testing.assert_allclose(values, wanted, 0, LAYER * np.abs(wanted).max(), err_msg=f"{name}: {changes}")
        first = first or found
        for name, values in first.items():
            np.testing.assert_array_equal(found[name], values, err_msg=f"{name}: {changes}")


@pytest.mark.parametrize(("bits", "workers"), [(128, 1), (256, 3), (512, 1), (512, 8)])
def test_what_the_cost_model_chooses(bits: int, workers: int) -> None:
    """Every kind of machine, at layers that are worth it: ResNet's four, one of a large image, a number of images that
    is known at run time, and one of many images."""
    program = Program()
    with program as p:
        for name, image, dynamic in [
            ("64", (1, 56, 56, 64), ()),
            ("128", (1, 28, 28, 128), ()),
            ("256", (1, 14, 14, 256), ()),
            ("512", (1, 7, 7, 512), ()),
            ("large", (1, 130, 142, 32), ()),
            ("images", (3, 14, 14, 64), ()),
            ("?", (2, 12, 15, 64), (0,)),
        ]:
            x, weight = p.argument(uniform(*image), dynamic=dynamic), p.parameter(uniform(image[3], image[3], 3, 3))
            p.result(name, conv(p, x, weight, padding=(1, 1, 1, 1)))
    cpu = CpuDescription(vector_bits=bits, vector_registers=32 if bits == 512 else 16, workers=workers)
    compiled = program.compile(terrace.Target(cpu=cpu, threads=2))
    chosen = [schedule.variant for schedule in schedules_of(compiled).values()]
    assert sum(variant != DIRECT for variant in chosen) >= 6
    for (name, values), wanted in zip(program.results(compiled).items(), program.expected(), strict=True):
        np.testing.assert_allclose(values, wanted, 0, LAYER * np.abs(wanted).max(), err_msg=name)


def test_what_is_left_to_the_direct_variant() -> None:
    program = Program()
    with program as p:
        image, given = p.argument(uniform(1, 32, 32, 64)), p.argument(uniform(64, 64, 3, 3))
        p.result("weights that are given", conv(p, image, given, padding=(1, 1, 1, 1)))
        for name, shape, attributes in [
            ("stride", (64, 64, 3, 3), {"strides": (2, 2)}),
            ("dilation", (64, 64, 3, 3), {"dilations": (2, 2)}),
            ("groups", (64, 32, 3, 3), {"groups": 2}),
            ("depthwise", (64, 1, 3, 3), {"groups": 64}),
            ("window", (64, 64, 5, 5), {}),
            ("padding", (64, 64, 3, 3), {"padding": (3, 0, 0, 0)}),
        ]:
            p.result(name, conv(p, image, p.parameter(uniform(*shape)), **attributes))
    compiled = program.compile()
    assert {schedule.variant for schedule in schedules_of(compiled).values()} == {DIRECT}
    program.check(compiled)


def test_sizes_that_a_call_knows() -> None:
    """One kernel for images of all sizes: none, less than a tile, blocks that begin and end within rows."""
    program = Program()
    with program as p:
        image, bias = p.argument(uniform(2, 12, 15, 20), dynamic=(0, 1, 2)), p.parameter(uniform(40))
        for padding in ((1, 1, 1, 1), (0, 2, 2, 0)):
            y = conv(p, image, p.parameter(uniform(40, 20, 3, 3)), padding=padding)
            p.result(str(padding), graph.ReluOp.build(graph.AddOp.build(y, bias)))
    first = program.compile()
    assert foreign_rows(first) == []
    assert {schedule.variant for schedule in schedules_of(first).values()} == {"winograd_4x4"}
    changes = dict.fromkeys(schedules_of(first), _runs("winograd_2x2", 8))
    second = program.compile(terrace.Target(threads=2), text=edited(first.ir("kernel"), changes))
    for compiled in (first, second):
        for sizes in ((2, 12, 15), (0, 8, 8), (1, 1, 1), (1, 4, 4), (3, 7, 90), (1, 61, 5), (1, 33, 64)):
            inputs = [uniform(*sizes, 20)]
            found = program.results(compiled, inputs)
            for (name, values), wanted in zip(found.items(), program.expected(inputs), strict=True):
                largest = np.abs(wanted).max(initial=0)
                np.testing.assert_allclose(values, wanted, 0, LAYER * largest, err_msg=f"{name} {sizes}")


def _runs(variant: str, tiles: int) -> Schedule:
    """Runs of so many tiles, side by side on workers, of which four are multiplied at a time."""
    m = VARIANTS[variant]
    tile, blocks = {"oc": 16, "oh": m, "ow": 4 * m, "ic": 1}, {"n": 1, "ow": tiles * m, "ic": 16}
    return Schedule.of(tile, blocks, ("n", "ow"), {"weight": Transform((m, m), (16,))}, ("input",), variant=variant)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_floats_are_computed_in_float32(dtype: str) -> None:
    """A result of float32 is as near to float64 as with operands of float32; one as narrow as these is rounded once."""
    name = MLIR_NAMES[dtype]
    program = Program(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    with program as p:
        image, weight = p.argument(uniform(1, 30, 26, 64)), p.parameter(uniform(72, 64, 3, 3))
        wide = ir.RankedTensorType.get([1, 30, 26, 72], f32())
        y = p.result("wide", conv(p, image, weight, padding=(1, 1, 1, 1), result_type=wide))
        p.result("narrow", convert(y, ir.Type.parse(name)))
    compiled = program.compile()
    assert DIRECT not in {schedule.variant for schedule in schedules_of(compiled).values()}
    found, wanted = program.results(compiled), program.expected()[0]
    bound = LAYER * np.abs(wanted).max()
    np.testing.assert_allclose(found["wide"], wanted, 0, bound)
    np.testing.assert_allclose(widen(found["narrow"]), wanted, ELEMENT_TYPES[name].epsilon / 2, bound)


def test_values_that_are_not_finite() -> None:
    """What a tile reads reaches its results: they are not finite where the direct ones are not, and beyond that at most
    as far as the tile. Zeros around the image stay zeros."""
    program = Program()
    with program as p:
        image = uniform(1, 24, 24, 16)
        image[0, 9, 9, 3], image[0, 20, 0, 2] = np.nan, np.inf
        p.result("y", conv(p, p.argument(image), p.parameter(uniform(16, 16, 3, 3)), padding=(1, 1, 1, 1)))
    found, direct = (program.results(program.compile(winograd=on))["y"] for on in (True, False))
    assert np.isnan(found[np.isnan(direct)]).all() and not np.isfinite(found[~np.isfinite(direct)]).any()
    spoilt = ~np.isfinite(found).all(axis=(0, 3))
    assert spoilt.sum() <= 4 * 4 * 5
    np.testing.assert_allclose(found[:, ~spoilt], direct[:, ~spoilt], 0, LAYER * np.nanmax(np.abs(direct[:, ~spoilt])))


def test_the_option_is_a_bool() -> None:
    with pytest.raises(CompileError, match="'winograd' must be a bool, got 1"):
        Program().compile(winograd=1)
