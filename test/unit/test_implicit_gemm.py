"""Convolutions as products of blocks: any schedule against float64, by AMX's instructions or emulated ones."""

from __future__ import annotations

import dataclasses
import random
import re

import ml_dtypes
import numpy as np
import pytest
import terrace
import torch
from amx_emulation import NEEDED, emulate_amx
from graph_program import Program, edited, schedules_of
from terrace.compiler import Request, Text, lower
from terrace.dialects import graph
from terrace.dialects.context import create_context
from terrace.errors import CompileError
from terrace.lowering.conversion.convert_kernel_to_loop import make_loops
from terrace.lowering.kernels.conv2d.implicit_gemm_shape import IMPLICIT_GEMM, Window
from terrace.lowering.kernels.packing import Pack, Packing, PackRows
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import is_kernel
from terrace.lowering.target.local_memory import require_local_memory
from terrace.mlir import ir, parse_module
from terrace.runtime.cpu_features import missing_features
from terrace.target import CpuDescription
from test_amx import FEATURES, needs_amx
from torch import nn

needs_avx512 = pytest.mark.skipif(bool(missing_features(NEEDED)), reason="what emulates AMX needs AVX-512")

LAYERS = [
    # image, output channels, kernel, strides, padding (top, bottom, left, right), dilations
    ((1, 9, 11, 64), 33, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    ((2, 7, 7, 64), 16, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    ((1, 8, 9, 64), 40, (1, 1), (2, 2), (0, 0, 0, 0), (1, 1)),
    ((1, 10, 6, 128), 5, (2, 3), (1, 2), (0, 1, 2, 0), (2, 1)),
    ((3, 5, 40, 64), 32, (1, 5), (1, 3), (0, 0, 2, 2), (1, 2)),
    ((1, 1, 1, 64), 1, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    # few channels: rows of the window
    ((1, 20, 23, 3), 34, (7, 7), (2, 2), (3, 3, 3, 3), (1, 1)),
    ((2, 6, 5, 1), 7, (5, 5), (1, 1), (2, 2, 2, 2), (1, 1)),
    ((1, 9, 9, 24), 20, (3, 3), (1, 1), (1, 1, 0, 1), (2, 1)),
    ((1, 3, 2, 5), 3, (3, 4), (3, 3), (2, 2, 5, 3), (1, 1)),
]
TYPES = {"bf16": ("amx_bf16", 32, 2), "i8": ("amx_int8", 64, 4)}
"""An atom, the terms of its blocks, and how many it takes together."""


def layers(operand: str, dynamic: bool = False) -> Program:
    """All of `LAYERS`, those of bf16 with float32 results and a bias."""
    rng, program = np.random.default_rng(0), Program()
    with program as p:
        for image, channels, kernel, strides, padding, dilations in LAYERS:
            sizes = image, (channels, image[3], *kernel)
            if operand == "i8":
                x, w = (rng.integers(-128, 128, size, dtype=np.int8) for size in sizes)
            else:
                x, w = (rng.uniform(-1, 1, size).astype(ml_dtypes.bfloat16) for size in sizes)
            attributes = {"strides": strides, "padding": padding, "dilations": dilations, "groups": 1, "layout": "NHWC"}
            element = ir.Type.parse("i32" if operand == "i8" else "f32")
            argument = p.argument(x, dynamic=(0,) if dynamic else ())
            weight = p.parameter(w)
            shape = ir.ShapedType(graph.Conv2dOp.build(argument, weight, **attributes).type).shape
            type_ = ir.RankedTensorType.get(shape, element)
            y = graph.Conv2dOp.build(argument, weight, **attributes, result_type=type_)
            if operand != "i8":
                y = graph.AddOp.build(y, p.parameter(rng.uniform(-1, 1, channels).astype(np.float32)))
            p.result(f"{image} {channels} {kernel}", y)
    return program


def scheduled(rng: random.Random, operand: str, layer: int) -> Schedule:
    """Some schedule of a layer."""
    (_, _, _, depth), *_ = LAYERS[layer]
    atom, step, together = TYPES[operand]
    rows, panel = rng.choice([1, 1, 2, 3]), rng.choice([16, 32])
    tile = {"oh": rows, "ow": rng.choice([16, 32, 48]), "oc": panel, "kw": 1, "ic": step}
    blocks = {"n": rng.choice([1, 2])} | ({"oh": rows * rng.choice([1, 2])} if rng.random() < 0.6 else {})
    blocks |= {"oc": panel} if rng.random() < 0.3 else {}
    inner = (panel * rng.choice([1, 2]), together)
    how: Packing = PackRows(inner, (step,)) if depth % step else Pack((0, 2, 3, 1), (0, 1), inner)
    parallel = [dim for dim in blocks if rng.random() < 0.5]
    return Schedule.of(tile, blocks, parallel, {"weight": how}, ("input",), atom=atom, variant=IMPLICIT_GEMM)


def kernel_names(text: str) -> list[str]:
    """The kernels of a program's layers, in order."""
    return re.findall(r"call @(\w+)", text)


def check_any_schedule(operand: str, target: terrace.Target, seed: int, dynamic: bool = False) -> None:
    program, rng = layers(operand, dynamic), random.Random(seed)
    text = lower(Text(program.text), Request.of(target), until="kernel").ir["kernel"]
    changes = {name: scheduled(rng, operand, number) for number, name in enumerate(kernel_names(text))}
    other = program.compile(target, text=edited(text, changes))
    assert {schedule.variant for schedule in schedules_of(other).values()} == {IMPLICIT_GEMM}
    program.check(other)
    if dynamic:
        for images in (0, 5):
            program.check(other, [np.resize(x, (images, *x.shape[1:])) for x in program.inputs])


@needs_avx512
@pytest.mark.parametrize("operand", TYPES)
@pytest.mark.parametrize(("seed", "dynamic"), [(0, False), (1, True)])
def test_any_schedule(operand: str, seed: int, dynamic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Integers are the same to the bit, floats near float64 sums."""
    emulate_amx(monkeypatch)
    check_any_schedule(operand, terrace.Target(threads=1 + dynamic), seed, dynamic)


@needs_amx
@pytest.mark.parametrize("operand", TYPES)
@pytest.mark.parametrize("seed", range(2, 6))
def test_any_schedule_by_real_blocks(operand: str, seed: int) -> None:
    check_any_schedule(operand, terrace.Target(threads=1 + seed % 2, features=FEATURES), seed, seed % 2 == 1)


@needs_avx512
@pytest.mark.parametrize("channels", [3, 64])
def test_what_is_not_in_a_window_spoils_nothing(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN in a pixel is in the results whose windows hold it, and in no other."""
    emulate_amx(monkeypatch)
    program, (height, width) = Program(), (40, 37)
    image = np.random.default_rng(0).uniform(-1, 1, (1, height, width, channels)).astype(ml_dtypes.bfloat16)
    image[0, 11, 36], image[0, 20, 4, 0] = np.nan, np.inf
    with program as p:
        weight = p.parameter(np.ones((64, channels, 3, 3), ml_dtypes.bfloat16))
        attributes = {"strides": (1, 1), "padding": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1, "layout": "NHWC"}
        p.result("y", graph.Conv2dOp.build(p.argument(image), weight, **attributes))
    compiled = program.compile(terrace.Target(threads=1))
    assert [schedule.variant for schedule in schedules_of(compiled).values()] == [IMPLICIT_GEMM]
    found = program.results(compiled)["y"].astype(np.float32)
    spoiled = np.zeros((height, width), bool)
    spoiled[10:13, 35:] = spoiled[19:22, 3:6] = True
    np.testing.assert_array_equal(np.isfinite(found), np.broadcast_to(~spoiled[None, :, :, None], found.shape))


@needs_avx512
def test_a_network_with_residuals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of "medium", from an image of three channels on; int8 gives the same bits with AMX and without."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 64, 7, stride=2, padding=3)
            self.second, self.third = nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 40, 3, stride=2, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.first(x))
            return self.third(torch.relu(self.second(x) + x))

    torch.manual_seed(0)
    model, x = Net().eval(), torch.randn(2, 3, 62, 57)
    target, int8 = terrace.Target(threads=1), {"quantize": "int8", "calibration": [(x,)]}
    integers = terrace.compile(model, (x,), target=target, options=int8)(x)
    emulate_amx(monkeypatch)
    for options, precision in (({}, "medium"), (int8, "highest")):
        compiled = terrace.compile(model, (x,), target=target, precision=precision, options=options)
        assert compiled.ir("kernel").count(f'variant = "{IMPLICIT_GEMM}"') >= 2
        if options:
            assert torch.equal(compiled(x), integers)
        else:
            with torch.no_grad():
                wanted = Net.forward(model.double(), x.double())
                model.float()
            assert (compiled(x) - wanted).abs().max() < 1e-2 * wanted.abs().max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ow": 8}, "needs 'ow' cut in tiles of 16 for 'register', got 8"),
        ({"ic": 24}, "needs a tile that divides the 64 input channels evenly, got 24"),
        ({"oc": 24}, "the layout's block of channels must be a multiple of the tile size 24"),
    ],
)
def test_a_schedule_that_it_cannot_follow(change: dict[str, int], message: str) -> None:
    request = Request.of(terrace.Target(threads=1, features=FEATURES))
    text = lower(Text(layers("bf16").text), request, until="kernel").ir["kernel"]
    schedule = scheduled(random.Random(0), "bf16", 0)
    cut = schedule.cut("register")
    other = schedule.with_cut(dataclasses.replace(cut, sizes={**cut.sizes, **change}))
    with pytest.raises(CompileError, match=message):
        lower(Text(edited(text, {kernel_names(text)[0]: other})), request, until="loop")


@pytest.mark.parametrize("local_bytes", [1 << 10, 20 << 10, 48 << 10, 100 << 10, 4 << 20])
@pytest.mark.parametrize("workers", [1, 2, 64])
def test_what_a_workgroup_holds_fits_its_memory(local_bytes: int, workers: int) -> None:
    """Or another variant is chosen."""
    cpu = CpuDescription(local_bytes=local_bytes, workers=workers)
    request = Request.of(terrace.Target(threads=workers, features=FEATURES, cpu=cpu))
    program = Program()
    with program as p:
        attributes = {"strides": (1, 1), "padding": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1, "layout": "NHWC"}
        for size, channels in ((56, 64), (7, 512), (224, 3)):
            image = p.argument(np.zeros((1, size, size, channels), ml_dtypes.bfloat16))
            weight = p.parameter(np.zeros((64, channels, 3, 3), ml_dtypes.bfloat16))
            p.result(f"{size} {channels}", graph.Conv2dOp.build(image, weight, **attributes))
    text = lower(Text(program.text), request, until="kernel").ir["kernel"]
    with create_context() as context, ir.Location.unknown():
        module = parse_module(text, context)
        for kernel in list(filter(is_kernel, module.body.operations)):
            require_local_memory(make_loops(kernel)[1], cpu)
    chosen = text.count(f'variant = "{IMPLICIT_GEMM}"')
    assert chosen == {1 << 10: 0, 4 << 20: 3}.get(local_bytes, chosen) or workers > 1


@pytest.mark.parametrize(
    ("kernel", "strides", "dilations", "planes", "reach"),
    [((3, 3), (1, 1), (1, 1), 1, (2, 2)), ((3, 3), (2, 2), (1, 1), 4, (1, 1)), ((1, 1), (2, 2), (1, 1), 1, (0, 0)),
     ((3, 2), (2, 3), (2, 1), 2, (2, 0))],
)  # fmt: skip
def test_where_the_elements_of_a_window_stand(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    planes: int,
    reach: tuple[int, int],
) -> None:
    """Row r of a plane that starts at row p of the image is row p + stride * r of it."""
    window = Window.of(kernel, strides, dilations)
    assert len(window.planes) == planes and window.reach == reach
    for element, (rows, columns, plane) in window.shifts.items():
        found = tuple(p + s * n for p, s, n in zip(window.planes[plane], strides, (rows, columns), strict=True))
        assert found == tuple(e * d for e, d in zip(element, dilations, strict=True))
