"""What could be printed wrong as C++: numbers that hurt, types, shapes. It is right, or refused at the model's line."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import terrace
import torch
from terrace.errors import CompileError
from torch import nn

INF, NAN = float("inf"), float("nan")
SPECIAL = (0.0, -0.0, NAN, INF, -INF, 1e-45, 1.17e-38, 3.4e38, -1e-40, 1.5)


class Calls(nn.Module):
    """A module that calls a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("special", torch.tensor(SPECIAL))

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(self, *args)


def floats(self: Calls, x: torch.Tensor, y: torch.Tensor, zero: torch.Tensor) -> Any:
    """Constants, comparisons and functions of numbers that hurt."""
    return (
        zero + self.special,
        (zero + 1) * 1e-40,
        torch.where(x > 0, x, torch.tensor(NAN)),
        torch.where(x >= 0, x, torch.tensor(-INF)),
        torch.maximum(x, y),
        torch.minimum(x, y),
        torch.rsqrt(x),
        torch.exp(100 * x),
        x**2.5,
        x.sum(),
        x,
        torch.ones(3),
    )


def integers(self: Calls, x: torch.Tensor, long: torch.Tensor, byte: torch.Tensor) -> Any:
    """Arithmetic that overflows, and the smallest numbers."""
    return (
        x * x,
        torch.abs(x),
        torch.maximum(x, torch.tensor(-(2**31), dtype=torch.int32)),
        long * 3 - 7,
        torch.maximum(long, torch.tensor(-(2**63))),
        byte + byte,
        (long.to(torch.float32) * 1e-3).to(torch.int32),
    )


def doubles(self: Calls, x: torch.Tensor) -> Any:
    return x * 2 + 1.1, torch.exp(x)


RIGHT = {
    "floats": (
        floats,
        (
            torch.tensor([NAN, 1.0, INF, -0.0, -1.5]),
            torch.tensor([1.0, NAN, -INF, 0.0, 2.0]),
            torch.zeros(10),
        ),
    ),
    "integers": (
        integers,
        (
            torch.tensor([2**20, -3, 46341, -(2**31)], dtype=torch.int32),
            torch.tensor([1, -2, 2**30]),
            torch.tensor([100, -100, 1], dtype=torch.int8),
        ),
    ),
    "a boolean result": (
        lambda self, x: (x > 0, x.isnan()),
        (torch.tensor([0.0, -0.0, 1e-40, -1.0, math.nan, math.inf]),),
    ),
    "softmax along another axis": (
        lambda self, x: (torch.softmax(x, 0), torch.softmax(x, 1)),
        (torch.tensor([[[0.0, 1.0, INF]] * 3, [[2.0, NAN, -3.0]] * 3]),),
    ),
    "doubles": (doubles, (torch.tensor([0.1, -3.0, 700.0], dtype=torch.float64),)),
}

REFUSED = {
    "float16": (
        lambda self, x: x * 2,
        torch.zeros(3, dtype=torch.float16),
        "graph.mul' op .*kernels do not compute with f16",
    ),
    "no elements": (lambda self, x: x * 2, torch.zeros(0, 4), "graph.mul' op .*it has no elements"),
    "a flip": (lambda self, x: torch.flip(x, [0]), torch.zeros(5, 3), "linalg.generic' op runs in no kernel"),
    "a look-up": (
        lambda self, x: nn.functional.embedding(x, self.special[:, None]),
        torch.zeros(2).long(),
        "embedding",
    ),
}


@pytest.mark.skipif(shutil.which("g++") is None, reason="simulating a design needs g++")
@pytest.mark.parametrize("name", RIGHT)
def test_the_results_are_eagers(name: str) -> None:
    function, args = RIGHT[name]
    model = Calls(function).eval()
    for found, expected in zip(terrace.compile(model, args, target="hls")(*args), model(*args), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_kernel_is_refused_at_the_models_line(name: str) -> None:
    function, x, message = REFUSED[name]
    with pytest.raises(CompileError, match=rf"test_hls_edges\.py:\d+:\d+: error: .*{message}"):
        terrace.compile(Calls(function).eval(), (x,), target="hls")


def test_sizes_known_at_run_time_only_are_refused() -> None:
    rows = torch.export.Dim("rows")
    with pytest.raises(CompileError, match="hardware needs static shapes"):
        terrace.compile(nn.Linear(4, 4), (torch.zeros(3, 4),), target="hls", dynamic_shapes=({0: rows},))
