"""Resizes and borders by kernels of ours, with eager: lines side by side, NaN, infinities, any size, any strides."""

from __future__ import annotations

import itertools
import math

import terrace
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim


class Resizes(nn.Module):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [
            F.interpolate(x, size=(13, 71), mode="bilinear"),
            F.interpolate(x, scale_factor=2, mode="bicubic"),
            *(F.pad(x, (3, 1, 0, 2), mode=mode) for mode in ("reflect", "circular")),
        ]


class Averages(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, (20, 9))


def image(*shape: int) -> Tensor:
    value = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    value[0, 0, 1, 2], value[0, 1, 0, 0], value[0, 1, -1, -1] = math.nan, math.inf, -math.inf
    return value


def agree(found: list[Tensor], expected: list[Tensor]) -> None:
    torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-5, equal_nan=True)


def test_resizes_of_lines_side_by_side() -> None:
    x = image(2, 35, 18, 3).permute(0, 3, 2, 1)
    model = terrace.compile(Resizes(), (x,))
    agree(model(x), Resizes()(x))
    assert {row["by"] for row in model.report().rows} == {"terrace"}


def test_resizes_of_any_size() -> None:
    sides = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    model = terrace.compile(Resizes(), (image(2, 3, 12, 17),), dynamic_shapes=(sides,))
    for shape in ((1, 2, 5, 40), (3, 2, 31, 6), (1, 2, 4, 4100)):
        x = image(*shape[:1], 3, *shape[2:])
        agree(model(x), Resizes()(x))


def test_a_mean_of_an_infinite_element_is_infinite() -> None:
    x = image(2, 9, 31, 23)
    agree([terrace.compile(Averages(), (x,))(x)], [Averages()(x)])


class Samples(nn.Module):
    def forward(self, x: Tensor, points: Tensor) -> list[Tensor]:
        modes = itertools.product(("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (True, False))
        return [F.grid_sample(x, points, *mode) for mode in modes]


def test_samples_at_points_that_are_no_numbers_or_far_away() -> None:
    generator = torch.Generator().manual_seed(0)
    x, points = torch.randn(1, 4, 5, 6, generator=generator), torch.rand(1, 3, 4, 2, generator=generator) * 2.4 - 1.2
    points[0, 0, 0, 0], points[0, 1, 1, 1], points[0, 1, 2, 0] = math.nan, math.inf, -math.inf
    points[0, 2, 2] = 1e30
    agree(terrace.compile(Samples(), (x, points))(x, points), Samples()(x, points))
