"""A sweep over ops whose numbers come from decompositions and torch-mlir's lowerings: they are eager's."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pytest
import terrace
import torch
from op_rows import FAMILIES, ULPS, Inputs, Row, make_inputs
from torch.utils import _pytree as pytree


class Rows(torch.nn.Module):
    """A program of many rows: all their results, as one list."""

    def __init__(self, rows: list[Row]) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        return [result for row in self.rows for result in pytree.tree_leaves(row(Inputs(*inputs)))]


@functools.cache
def inputs() -> tuple[torch.Tensor, ...]:
    made = make_inputs()
    return tuple(getattr(made, field.name) for field in dataclasses.fields(made))


@functools.cache
def results_of(family: str) -> dict[str, list[Any]]:
    """The results of each row of a family, from one compilation."""
    rows = FAMILIES[family]
    whole = iter(terrace.compile(Rows(list(rows.values())), inputs())(*inputs()))
    return {name: [next(whole) for _ in Rows([row])(*inputs())] for name, row in rows.items()}


@pytest.mark.parametrize(("family", "name"), [(family, name) for family, rows in FAMILIES.items() for name in rows])
def test_row(family: str, name: str) -> None:
    expected = Rows([FAMILIES[family][name]])(*inputs())
    for index, (have, want) in enumerate(zip(results_of(family)[name], expected, strict=True)):
        assert (have.shape, have.dtype) == (want.shape, want.dtype), index
        if want.is_floating_point():
            relative = ULPS * torch.finfo(want.dtype).eps
            largest = want[want.isfinite()].abs().max().item() if want.isfinite().any() else 0.0
            torch.testing.assert_close(
                have, want, rtol=relative, atol=relative * largest, equal_nan=True, msg=f"result {index}: {{}}".format
            )
        else:
            assert torch.equal(have, want), (index, have, want)
