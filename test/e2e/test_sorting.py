"""Sorts and the first few elements by kernels of ours, beside eager: any axis and size, equal elements, NaN and zeros.

Stable orders are equal to eager's; of `topk` the values are, and its places hold them, each once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import terrace
import torch
from torch import nn

Pair = tuple[torch.Tensor, torch.Tensor]
Function = Callable[[torch.Tensor], Pair]

TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int8, torch.bool)


class All(nn.Module):
    def __init__(self, functions: Sequence[Function]) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, x: torch.Tensor) -> list[Pair]:
        return [tuple(function(x)) for function in self.functions]  # type: ignore[misc]


def sorts(rank: int) -> list[Function]:
    return [
        lambda x, axis=axis, descending=descending: torch.sort(x, dim=axis, stable=True, descending=descending)
        for axis in range(rank)
        for descending in (False, True)
    ]


def values(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Numbers of both signs, many of them equal; of floats NaN, infinities and zeros of both signs, too."""
    generator = torch.Generator().manual_seed(math.prod(shape))
    whole = torch.randint(-100, 100, tuple(shape), generator=generator)
    if dtype == torch.bool:
        return whole > 0
    if not dtype.is_floating_point:
        factor = {torch.int64: 1 << 54, torch.int32: 1 << 24}.get(dtype, 1)
        return (whole * factor).to(dtype)
    x = (whole / 7).to(dtype)
    for place, special in ((3, math.nan), (5, math.inf), (7, -math.inf), (9, -math.nan), (11, -0.0), (13, 0.0)):
        x.view(-1)[place::17] = special
    return x


def check_sorts(compiled: Callable[..., list[Pair]], functions: Sequence[Function], x: torch.Tensor) -> None:
    for found, function in zip(compiled(x), functions, strict=True):
        for ours, eager in zip(found, function(x), strict=True):
            torch.testing.assert_close(ours, eager, rtol=0, atol=0, equal_nan=True)


def check_first(found: Pair, x: torch.Tensor, count: int, axis: int, largest: bool) -> None:
    expected = x.topk(count, axis, largest).values
    torch.testing.assert_close(found[0], expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(x.gather(axis, found[1]), expected, rtol=0, atol=0, equal_nan=True)
    ordered = found[1].sort(axis).values
    assert not (ordered.narrow(axis, 1, count - 1) == ordered.narrow(axis, 0, count - 1)).any()


def by_op(compiled: terrace.CompiledModel) -> dict[str, str]:
    return {row["op"]: row["by"] for row in compiled.report().rows}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_types_and_axes(dtype: torch.dtype) -> None:
    """Short lines, which are put into a list, and long ones, whose digits are counted."""
    functions, x = sorts(3), values((3, 35, 40), dtype)
    compiled = terrace.compile(All(functions), (x,))
    check_sorts(compiled, functions, x)
    assert by_op(compiled)["argsort"] == "terrace"


@pytest.mark.parametrize("shape", [(1,), (7,), (1000,), (3, 1), (5, 17), (2, 300, 3), (0,), (3, 0), (0, 4)], ids=str)
def test_shapes(shape: tuple[int, ...]) -> None:
    functions, x = sorts(len(shape)), values(shape, torch.float32)
    check_sorts(terrace.compile(All(functions), (x,)), functions, x)


@pytest.mark.parametrize("dtype", [dtype for dtype in TYPES if dtype != torch.bool], ids=str)
def test_first_few(dtype: torch.dtype) -> None:
    """Along rows, several tiles long, and across lines; of few and of all elements."""
    cases = [(count, axis, largest) for axis, count in ((0, 2), (1, 35), (1, 9), (2, 1), (2, 8)) for largest in (0, 1)]
    x = values((3, 35, 150), dtype)
    functions: list[Function] = [lambda x, case=case: x.topk(case[0], case[1], bool(case[2])) for case in cases]
    compiled = terrace.compile(All(functions), (x,))
    for found, (count, axis, largest) in zip(compiled(x), cases, strict=True):
        check_first(found, x, count, axis, bool(largest))
    assert by_op(compiled)["topk"] == "terrace"


@pytest.mark.parametrize("ascending", [False, True])
def test_first_few_of_what_is_in_order(ascending: bool) -> None:
    """Where each element, or none, comes before those so far; and where all are equal."""
    x = torch.arange(600.0).reshape(2, 300).flip(1)
    x = x.flip(1) if ascending else x
    compiled = terrace.compile(All([lambda x: x.topk(5), lambda x: x.topk(2, 0, False)]), (x,))
    for y in (x, torch.zeros_like(x), torch.full_like(x, math.nan), torch.full_like(x, -math.inf)):
        found = compiled(y)
        check_first(found[0], y, 5, 1, True)
        check_first(found[1], y, 2, 0, False)


def test_first_few_of_sizes_known_at_run_time() -> None:
    functions: list[Function] = [lambda x: x.topk(3), lambda x: x.topk(3, 0, False), lambda x: x.topk(2, sorted=False)]
    dims = {0: torch.export.Dim("rows", min=3), 1: torch.export.Dim("columns", min=3)}
    x = values((5, 9), torch.float32)
    compiled = terrace.compile(All(functions), (x,), dynamic_shapes=(dims,))
    assert by_op(compiled)["topk"] == "terrace"
    for shape in ((3, 3), (7, 16), (33, 100), (4, 17), (3, 1000)):
        x = values(shape, torch.float32)
        found = compiled(x)
        check_first(found[0], x, 3, 1, True)
        check_first(found[1], x, 3, 0, False)
        check_first(found[2], x, 2, 1, True)


def test_orders_of_sizes_known_at_run_time() -> None:
    functions, x = sorts(2), values((5, 9), torch.float32)
    dims = {0: torch.export.Dim("rows", min=1), 1: torch.export.Dim("columns", min=1)}
    compiled = terrace.compile(All(functions), (x,), dynamic_shapes=(dims,))
    for shape in ((1, 1), (7, 16), (3, 100)):
        check_sorts(compiled, functions, values(shape, torch.float32))


def test_strides() -> None:
    functions: list[Function] = [
        lambda x: torch.sort(x.T, dim=1, stable=True),
        lambda x: torch.sort(x[1:, ::2], dim=0, stable=True),
    ]
    x = values((30, 34), torch.float32)
    check_sorts(terrace.compile(All(functions), (x,)), functions, x)
