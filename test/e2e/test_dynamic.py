"""One compile, many sizes: an MLP of any batch, a BERT of any length, windows over images of any size."""

from __future__ import annotations

import pytest
import terrace
import torch
from e2e_models import assert_close, eager, example, other_input, products
from terrace.lowering.kernels.conv2d.winograd_shape import VARIANTS
from terrace.runtime.model import CompiledModel
from terrace.target import CpuDescription
from torch import nn
from torch.export import Dim

SIZES = (2, 7, 14, 33, 128)
"""Fewer than a tile, a tile, no multiple of one, many."""


@pytest.fixture(scope="module")
def mlp() -> tuple[nn.Module, CompiledModel]:
    model, (x,) = example("mlp").build()
    return model, terrace.compile(model, (x,), dynamic_shapes={"x": {0: Dim("batch", min=1, max=4096)}})


@pytest.fixture(scope="module")
def bert() -> tuple[nn.Module, CompiledModel]:
    module = example("bert_base")
    torch.manual_seed(0)
    model = module.Bert(layers=2, width=192, heads=4, hidden=448, vocabulary=1000, positions=160)
    module.randomize(model.eval())
    ids = torch.randint(0, 1000, (1, 16))
    return model, terrace.compile(model, (ids,), dynamic_shapes={"ids": {1: Dim("length", min=2, max=160)}})


@pytest.mark.parametrize("size", SIZES)
def test_batch(mlp: tuple[nn.Module, CompiledModel], size: int) -> None:
    model, compiled = mlp
    x = other_input(torch.empty(size, 256))
    assert_close(compiled(x), eager(model, x))


@pytest.mark.parametrize("size", SIZES)
def test_length(bert: tuple[nn.Module, CompiledModel], size: int) -> None:
    model, compiled = bert
    ids = other_input(torch.full((1, size), 1000))
    assert_close(compiled(ids), eager(model, ids))


def test_the_products_are_ours(mlp: tuple[nn.Module, CompiledModel], bert: tuple[nn.Module, CompiledModel]) -> None:
    for (_, compiled), least in ((mlp, 3), (bert, 2 * 7)):
        rows = products(compiled.report().rows)
        assert sum(row["calls"] for row in rows) >= least
        assert all(row["by"] == "terrace" and "?" in row["shape"] for row in rows)


def test_a_size_out_of_range_is_refused(bert: tuple[nn.Module, CompiledModel]) -> None:
    for size in (1, 161):
        with pytest.raises(terrace.InputError, match=rf"2 <= \w+ <= 160, found {size}"):
            bert[1](torch.zeros(1, size, dtype=torch.int64))


class Windows(nn.Module):
    """Pools and depthwise convolutions whose windows hang over the edges of an image, step over it, or have gaps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convolutions = [
            {"kernel_size": 3, "padding": 1},
            {"kernel_size": 3, "padding": 1, "stride": 2},
            {"kernel_size": 5, "padding": 2},
            {"kernel_size": 3, "padding": 2, "dilation": 2},
            {"kernel_size": (3, 5), "padding": (0, 4), "stride": (2, 3)},
        ]
        pools = [
            nn.MaxPool2d(3, 2, 1),
            nn.MaxPool2d(3, 2, 1, dilation=2),
            nn.MaxPool2d(2),
            nn.AvgPool2d(3, 2, 1),
            nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        ]
        layers = [nn.Conv2d(channels, channels, groups=channels, **options) for options in convolutions]
        self.layers = nn.ModuleList([*layers, *pools])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.relu(layer(x)) for layer in self.layers)


@pytest.mark.parametrize("threads", [1, 2])
def test_windows(threads: int) -> None:
    """Narrower than a tile, wider, with values that spread."""
    model, sides = Windows(20).eval(), {"min": 5, "max": 1024}
    compiled = terrace.compile(
        model,
        (torch.randn(3, 20, 24, 26),),
        target=terrace.Target(threads=threads),
        dynamic_shapes={"x": {0: Dim("n", max=64), 2: Dim("h", **sides), 3: Dim("w", **sides)}},
    )
    assert all(row["by"] == "terrace" for row in compiled.report().rows)
    for size in ((3, 24, 26), (1, 8, 9), (2, 100, 31), (1, 5, 5), (1, 7, 7), (1, 6, 64)):
        x = torch.randn(size[0], 20, *size[1:])
        x[0, 0, 3, 3], x[0, 1, 3, 3], x[0, 2] = torch.nan, torch.inf, -torch.inf
        for found, wanted in zip(compiled(x), model(x), strict=True):
            torch.testing.assert_close(torch.as_tensor(found), wanted, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_an_example_of_size_one() -> None:
    """PyTorch takes a size of 1 for a constant; a batch of one image is the usual example."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)).eval()
    x = torch.randn(1, 3, 8, 8)
    compiled = terrace.compile(model, (x,), dynamic_shapes=({0: Dim("n", max=16)},))
    for size in (1, 2, 16):
        x = other_input(torch.empty(size, 3, 8, 8))
        assert_close(compiled(x), eager(model, x))
    assert "terrace_example_shapes = [array<i64: 1, 3, 8, 8>]" in compiled.ir("graph")


@pytest.mark.parametrize("shapes", [({0: Dim("n")}, {0: Dim("n")}), ({0: Dim.DYNAMIC}, {0: Dim.DYNAMIC})])
def test_one_tensor_given_twice(shapes: tuple[dict[int, Dim], ...]) -> None:
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + 2 * y

    x = torch.randn(1, 4)
    compiled = terrace.compile(Sum(), (x, x), dynamic_shapes=shapes)
    y = torch.randn(3, 4)
    assert_close(compiled(y, y + 1), y + 2 * (y + 1))


def test_schedules_follow_the_example() -> None:
    """Deep layers of small images have other variants than those of large ones, although both take any image."""
    model, sides = nn.Conv2d(512, 512, 3, padding=1).eval(), {"min": 2, "max": 64}
    shapes = ({2: Dim("h", **sides), 3: Dim("w", **sides)},)
    target = terrace.Target(threads=1, cpu=CpuDescription())
    variants = []
    for side in (7, 56):
        compiled = terrace.compile(model, (torch.randn(1, 512, side, side),), dynamic_shapes=shapes, target=target)
        variants.append([name for name in VARIANTS if f'variant = "{name}"' in compiled.ir("kernel")])
        x = torch.randn(1, 512, 9, 5)
        assert_close(compiled(x), eager(model, x))
    assert variants == [["winograd_2x2"], ["winograd_4x4"]]


def test_pads_that_cut() -> None:
    """An amount that depends on a size may be negative, beside one that is."""

    class Pads(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.pad(x, (x.shape[1] - 9, -2, 8 - x.shape[0], 0))

    compiled = terrace.compile(Pads(), (torch.randn(5, 12),), dynamic_shapes=({0: Dim.AUTO, 1: Dim.AUTO},))
    for shape in ((5, 12), (9, 8), (3, 9)):
        x = torch.randn(shape)
        assert torch.equal(compiled(x), Pads()(x))
