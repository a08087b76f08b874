"""Convolutions and pools of volumes, which become those of planes: against eager, with kernels of ours."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import terrace
import torch
import torch.nn.functional as F
from e2e_models import assert_close
from torch import nn

Rule = Callable[[torch.Tensor], torch.Tensor]
AUTO = torch.export.Dim.AUTO
OPEN = ({0: AUTO, 2: AUTO, 3: AUTO, 4: AUTO},)


class Applied(nn.Module):
    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rule(x)


# Channels in and out, kernel, stride, padding, dilation, groups.
CONVOLUTIONS: dict[str, Any] = {
    "usual": (3, 4, 3, 1, 1, 1, 1),
    "strided, lopsided, dilated, groups": (4, 6, (2, 3, 1), (1, 2, 1), (0, 1, 0), (2, 1, 1), 2),
    "of planes": (3, 4, (1, 3, 3), 1, (0, 1, 1), 1, 1),
    "of depth": (3, 4, (3, 1, 1), 2, (1, 0, 0), 1, 1),
    "depthwise": (4, 4, 3, 1, 1, 1, 4),
    "patches": (3, 8, (2, 4, 4), (2, 4, 4), 0, 1, 1),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    convolution = nn.Conv3d(*CONVOLUTIONS[name]).eval().requires_grad_(False)
    x = torch.randn(2, CONVOLUTIONS[name][0], 6, 9, 8)
    compiled = terrace.compile(convolution, (x,))
    assert_close(compiled(x), convolution(x))
    assert {layer["by"] for layer in compiled.report().layers if layer["macs"]} == {"terrace"}


@pytest.mark.parametrize("name", ["usual", "depthwise"])
def test_convolutions_of_dynamic_volumes(name: str) -> None:
    convolution = nn.Conv3d(*CONVOLUTIONS[name]).eval().requires_grad_(False)
    channels = CONVOLUTIONS[name][0]
    compiled = terrace.compile(convolution, (torch.randn(2, channels, 6, 9, 8),), dynamic_shapes=OPEN)
    for shape in ((1, 3, 5, 7), (3, 11, 8, 9)):
        x = torch.randn(shape[0], channels, *shape[1:])
        assert_close(compiled(x), convolution(x))


POOLS: dict[str, Rule] = {
    "max": lambda x: F.max_pool3d(x, 2),
    "max, padded, past the end": lambda x: F.max_pool3d(x, 3, 2, 1, ceil_mode=True),
    "max, lopsided, dilated": lambda x: F.max_pool3d(x, (3, 2, 1), (1, 2, 2), (1, 1, 0), (2, 1, 1)),
    "mean": lambda x: F.avg_pool3d(x, 2),
    "mean, padded, past the end": lambda x: F.avg_pool3d(x, 3, 2, 1, ceil_mode=True),
    "mean of what is inside": lambda x: F.avg_pool3d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "mean, other divisor": lambda x: F.avg_pool3d(x, 3, 2, 1, divisor_override=5),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools(name: str) -> None:
    x = torch.randn(2, 3, 7, 9, 8)
    x[0, 0, 0, 0, 0], x[1, 1, 1, 1, 1] = torch.nan, torch.inf
    compiled = terrace.compile(Applied(POOLS[name]), (x,))
    for value in (x, torch.ones(x.shape)):
        torch.testing.assert_close(compiled(value), POOLS[name](value), rtol=1e-5, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", ["max, padded, past the end", "mean"])
def test_pools_of_dynamic_volumes(name: str) -> None:
    compiled = terrace.compile(Applied(POOLS[name]), (torch.randn(2, 3, 7, 9, 8),), dynamic_shapes=OPEN)
    for shape in ((2, 3, 7, 9, 8), (1, 3, 4, 7, 6), (3, 3, 11, 8, 9)):
        x = torch.randn(shape)
        assert_close(compiled(x), POOLS[name](x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["depthwise", "mean"])
def test_planes_of_short_types_are_not_rounded(name: str, dtype: torch.dtype) -> None:
    rule = POOLS[name] if name in POOLS else nn.Conv3d(*CONVOLUTIONS[name]).eval().requires_grad_(False)
    x = torch.randn(2, 4, 6, 9, 8).to(dtype)
    exact = (copy.deepcopy(rule).double() if isinstance(rule, nn.Module) else rule)(x.double())
    compiled = terrace.compile(Applied(rule).to(dtype), (x,))
    tolerance = torch.finfo(dtype).eps
    torch.testing.assert_close(compiled(x).double(), exact, rtol=tolerance, atol=tolerance)
