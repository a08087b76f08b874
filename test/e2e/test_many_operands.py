"""More tensors in one expression than IREE binds to a kernel, longer chains than its analyses follow, many checks."""

from __future__ import annotations

import functools
import operator

import pytest
import terrace
import torch

TARGET = terrace.Target(threads=1)
COUNT = 48


class Together(torch.nn.Module):
    def forward(self, matrix: torch.Tensor, *rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        grown = rows[0]
        for row in rows[1:]:
            grown = torch.cat([grown, grown[:1] * row])
        total = functools.reduce(operator.add, rows)
        return total, functools.reduce(operator.add, rows, rows[0] @ matrix), torch.relu(torch.cat(rows)), grown


def test_many_operands():
    inputs = torch.randn(3, 3), *(torch.randn(1, 3) for _ in range(COUNT))
    model = Together()
    for found, expected in zip(terrace.compile(model, inputs, target=TARGET)(*inputs), model(*inputs), strict=True):
        torch.testing.assert_close(found, expected)


class Insertions(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        steps = [x]
        for index in range(40):
            place = index % 8
            steps.append(steps[-1].slice_scatter(steps[-1][:1] * 0 + index, 0, place, place + 1))
        return [steps[step] for step in (15, 16, 17, 18, 32, 33, 40)]


@pytest.mark.parametrize("dynamic", (False, True))
def test_a_long_chain_of_insertions_of_which_others_read_parts(dynamic):
    shapes = ({1: torch.export.Dim("m")},) if dynamic else None
    model = terrace.compile(Insertions(), (torch.zeros(8, 3),), target=TARGET, dynamic_shapes=shapes)
    for columns in (3, 1, 5) if dynamic else (3,):
        x = torch.randn(8, columns)
        torch.testing.assert_close(model(x), Insertions()(x), rtol=0, atol=0)


class Assertions(torch.nn.Module):
    def forward(self, places: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(())
        for index in range(18):
            torch._assert_async((places != index).all(), f"not {index}")
            total = total + places.sum()
        return total


def test_the_first_of_many_checks_is_reported():
    model = terrace.compile(Assertions(), (torch.tensor([20, 21]),), target=TARGET)
    assert model(torch.tensor([20, 21])) == 18 * 41
    for places, first in (([17, 12], 12), ([17, 20], 17), ([0, 17], 0), ([8, 7], 7)):
        with pytest.raises(terrace.errors.CheckError, match=rf"not {first}\b"):
            model(torch.tensor(places))
