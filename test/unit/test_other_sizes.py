"""`scripts/other_sizes.py` and `scripts/kernelbench_sizes.py`: sizes at which other projects' programs are measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from kernelbench_sizes import Problem
from other_sizes import plan


class Calls(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.forward = function


def shapes(arguments: list[tuple[Any, ...]]) -> list[list[tuple[int, ...]]]:
    return [[tuple(value.shape) for value in args] for args in arguments]


@pytest.mark.parametrize(
    ("function", "sizes", "word", "example", "others"),
    [
        (lambda x, y: x @ y, [(4, 5), (5, 1)], "open", [(3, 4), (4, 2)], [[(2, 3), (3, 3)]]),
        (lambda x: x.view(2, 8), [(16,)], "eager runs at the test's sizes only", [(16,)], []),
        (lambda x: x + sum(range(x.shape[0])), [(16,)], "torch.export keeps the sizes fixed", [(16,)], []),
        (lambda x: x.view(-1, 8), [(16,)], "open", [(32,)], [[(48,)]]),
        (
            lambda x: x * 2 if x.shape[0] == 16 else x,
            [(16,)],
            "open but for the test's sizes, which torch.export sets apart",
            [(15,)],
            [[(14,)]],
        ),
    ],
)
def test_a_program_is_exported_at_other_sizes_that_it_takes(
    function: Callable[..., Any], sizes: list[Any], word: str, example: list[Any], others: list[Any]
) -> None:
    def runs(args: tuple[Any, ...]) -> bool:
        try:
            function(*args)
        except RuntimeError:
            return False
        return True

    args = tuple(torch.rand(size) for size in sizes)
    found = plan(Calls(function), args, tuple(tuple(range(len(size))) for size in sizes), runs)
    assert (found.word, shapes([found.example])[0], shapes(found.others)) == (word, example, others)


PROBLEM = """
import torch
class Model(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.linear = torch.nn.Linear(features, features)
    def forward(self, x):
        batch_size = x.shape[0]
        return self.linear(x).view(batch_size, -1)
batch_size = 64
features = 8192
length = 5_000_000
shape = (length,)
def get_inputs():
    return [torch.rand(batch_size, *shape, features)]
def get_init_inputs():
    return [features]
"""


def test_sizes_of_a_problem_are_halved_until_it_is_little(tmp_path: Path) -> None:
    path = tmp_path / "problem.py"
    path.write_text(PROBLEM)
    sizes = Problem(path).smaller()
    assert sizes == {"features": 4096, "batch_size": 2, "length": 152}
    (x,) = Problem(path).load({**sizes, "features": 3})["get_inputs"]()
    assert x.shape == (2, 152, 3)
