"""Running sums, products and extremes by kernels of ours, beside eager: any axis and size, static and dynamic.

Sums and products of floats may be off by two units in the last place of what eager's partial results reach; the rest is
equal, NaN, infinities and the places of extremes among equal elements included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import terrace
import torch
from torch import nn

Function = Callable[[torch.Tensor], torch.Tensor]

TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int8, torch.bool)
SHAPES = ((1,), (7,), (1000,), (3, 1), (5, 17), (2, 33, 3), (3, 40, 16), (4, 2, 3, 5), (0,), (3, 0), (0, 4))


class All(nn.Module):
    def __init__(self, functions: Sequence[Function]) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [function(x) for function in self.functions]


def functions_of(rank: int) -> list[Function]:
    found: list[Function] = []
    for axis in range(rank):
        found += [
            lambda x, axis=axis: x.cumsum(axis),
            lambda x, axis=axis: x.cumprod(axis),
            lambda x, axis=axis: x.cummax(axis).values,
            lambda x, axis=axis: x.cummax(axis).indices,
            lambda x, axis=axis: x.cummin(axis).values,
            lambda x, axis=axis: x.cummin(axis).indices,
        ]
    return found


def values(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Few numbers, so that many are equal, negative zeros among them."""
    generator = torch.Generator().manual_seed(math.prod(shape))
    whole = torch.randint(-3, 4, tuple(shape), generator=generator)
    return (whole * (-0.5 if dtype.is_floating_point else 1)).to(dtype)


def check(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.dtype == expected.dtype and found.shape == expected.shape
    if not expected.is_floating_point():
        assert torch.equal(found, expected)
        return
    reached = expected.abs().nan_to_num(0, 0, 0).max().item() if expected.numel() else 0.0
    unit = torch.finfo(expected.dtype).eps * reached
    torch.testing.assert_close(found, expected, rtol=0, atol=2 * unit, equal_nan=True)


def check_all(compiled: Callable[..., list[torch.Tensor]], functions: Sequence[Function], x: torch.Tensor) -> None:
    for found, function in zip(compiled(x), functions, strict=True):
        check(found, function(x))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_types_and_axes(dtype: torch.dtype) -> None:
    functions = functions_of(3)
    x = values((3, 35, 17), dtype)
    compiled = terrace.compile(All(functions), (x,))
    check_all(compiled, functions, x)
    ours = {row["op"]: row["by"] for row in compiled.report().rows}
    assert ours["scan"] == ours["arg_scan"] == "terrace"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape: tuple[int, ...]) -> None:
    functions = functions_of(len(shape))
    x = values(shape, torch.float32)
    check_all(terrace.compile(All(functions), (x,)), functions, x)


def test_sizes_known_at_run_time() -> None:
    functions = functions_of(2)
    dims = {0: torch.export.Dim("rows", min=1), 1: torch.export.Dim("columns", min=1)}
    x = values((5, 9), torch.float32)
    compiled = terrace.compile(All(functions), (x,), dynamic_shapes=(dims,))
    for shape in ((1, 1), (7, 16), (33, 100), (2, 3), (1, 1000)):
        check_all(compiled, functions, values(shape, torch.float32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_numbers_that_are_none(dtype: torch.dtype) -> None:
    """NaN and infinities, along rows longer than a tile and along columns."""
    functions = functions_of(2)
    x = torch.randn(6, 70, generator=torch.Generator().manual_seed(1), dtype=dtype)
    x[0, 3], x[1, 40], x[1, 66], x[2, 0], x[3, 69] = [math.nan] * 5
    x[4, 2], x[4, 50], x[5, 33], x[5, 34] = math.inf, -math.inf, -math.inf, -math.inf
    compiled = terrace.compile(All(functions), (x,))
    check_all(compiled, functions, x)
    check_all(compiled, functions, torch.full_like(x, -math.inf))
    check_all(compiled, functions, torch.full_like(x, math.nan))


def test_what_float32_would_lose() -> None:
    """Large numbers that cancel, and products whose parts leave the range of float32: eager sums in float64, too."""
    functions: list[Function] = [lambda x: x.cumsum(1), lambda x: x.cumsum(0), lambda x: (x * 1e20).cumprod(1)]
    x = torch.ones(48, 64)
    x[:, 1::4], x[:, 2::4] = 1e9, -1e9
    x[1::4], x[2::4] = x[1::4] * 1e9, x[2::4] * -1e9
    compiled = terrace.compile(All(functions), (x,))
    for found, function in zip(compiled(x), functions, strict=True):
        torch.testing.assert_close(found, function(x), rtol=1e-6, atol=0)


def test_strides_and_what_follows() -> None:
    """Of a transposed and sliced input; elementwise ops behind are in the same kernel."""
    functions: list[Function] = [
        lambda x: x.T.cumsum(1),
        lambda x: x[1:, ::2].cumsum(0),
        lambda x: torch.relu(x.cumsum(1)) * 2 + x,
        lambda x: x.cummax(1).indices + 1,
    ]
    x = values((9, 34), torch.float32)
    compiled = terrace.compile(All(functions), (x,))
    check_all(compiled, functions, x)
    assert any(row["op"].startswith("scan+") for row in compiled.report().rows)
