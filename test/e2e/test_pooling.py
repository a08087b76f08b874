"""Pools by the generator that the CPU and hardware share, against eager: strides, padding, dilation, rounding up."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
import terrace
import torch
from torch import nn
from torch.nn import functional as F

CASES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "average_2x2": lambda x: F.avg_pool2d(x, 2),
    "average_3x3_over_the_edge": lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "average_3x3_padded": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "average_rounded_up": lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True, count_include_pad=False),
    "average_rounded_up_padded": lambda x: F.avg_pool2d(x, (2, 4), 3, 1, ceil_mode=True),
    "max_2x2": lambda x: F.max_pool2d(x, 2),
    "max_dilated": lambda x: F.max_pool2d(x, 3, 1, 1, dilation=2),
    "max_padded": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max_rounded_up": lambda x: F.max_pool2d(x, (3, 2), (2, 3), ceil_mode=True),
}


class BetweenConvolutions(nn.Module):
    """Convolutions give the pool between them the layout NHWC."""

    def __init__(self, pool: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.pool = nn.Conv2d(3, 20, 1), nn.Conv2d(20, 2, 1), pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.pool(self.first(x)))


def check(name: str, target: str) -> None:
    torch.manual_seed(0)
    model, x = BetweenConvolutions(CASES[name]).eval(), torch.randn(2, 3, 11, 13)
    compiled = terrace.compile(model, (x,), target=target)
    assert [row["why"] for row in compiled.report().rows if "pool" in row["op"]] == ["generator pool2d"]
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_on_the_cpu(name: str) -> None:
    check(name, "cpu")


@pytest.mark.skipif(shutil.which("g++") is None, reason="simulating a design needs g++")
@pytest.mark.parametrize("name", ["average_rounded_up", "max_dilated"])
def test_in_hardware(name: str) -> None:
    check(name, "hls")
