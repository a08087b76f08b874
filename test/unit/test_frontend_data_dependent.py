"""Results that are as long as the data say: for some, all and none of the elements selected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from frontend_reference import compare_with_eager
from terrace.errors import ModelImportError
from torch import nn
from torch.export import Dim


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("rows", torch.tensor([True, False, True, False]))

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(*args)


def scale_some(x: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    x[x > 0] = x[x > 0] * 2
    return x


def add_to_some_rows(x: torch.Tensor) -> torch.Tensor:
    return x.index_put((x[:, 0] > 0,), x[x[:, 0] > 0] * 3, accumulate=True)


SELECTIONS = {
    "elements": lambda x: x[x > 0],
    "rows": lambda x: x[x[:, 0] > 0] @ torch.ones(6, 2),
    "columns": lambda x: x[:, x[0] > 0],
    "two_dimensions": lambda x: x.view(4, 2, 3)[x[:, :2] > 0],
    "mask_and_number": lambda x: x[x[:, 0] > 0, 1],
    "nonzero": lambda x: (x > 0).nonzero(),
    "where": lambda x: torch.where(x > 0),
    "masked_select": lambda x: torch.masked_select(x, x[0] > 0),
    "unique": lambda x: x.round().unique(return_inverse=True, return_counts=True),
    "unique_consecutive": lambda x: x.view(-1).sign().unique_consecutive(return_counts=True),
    "written": scale_some,
    "written_rows": add_to_some_rows,
    "written_one_row": lambda x: x.index_put((x[:, 0] > 0,), torch.arange(6.0)),
    "repeated_places": lambda x: torch.repeat_interleave(x[1].abs().int()),
    "repeated": lambda x: torch.repeat_interleave(x[0], x[1].abs().long()),
    "joined": lambda x: torch.cat([x[x > 0], x[x <= 0]]),
}
SOME = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)) * 3
OTHERS = [(torch.ones(4, 6),), (torch.full((4, 6), -1.0),)]


@pytest.mark.parametrize("name", SELECTIONS)
def test_selections(name: str) -> None:
    compare_with_eager(Calls(SELECTIONS[name]), (SOME,), other=OTHERS)


def test_selections_from_dynamic_sizes() -> None:
    dynamic = (({0: Dim.AUTO, 1: Dim.AUTO},),)
    compare_with_eager(Calls(lambda x: x[x > 0]), (SOME,), dynamic, [(SOME[:3, :5],), (-SOME.repeat(2, 1),)])


def test_selection_by_a_constant() -> None:
    model = Calls(lambda x: (x[model.rows], x[:, [False, True, True]]))
    compare_with_eager(model, (SOME[:, :3],))


def test_a_size_read_from_the_data() -> None:
    model = Calls(lambda n, x: x[: n.item()] * n.item())
    compare_with_eager(model, (torch.tensor(2), SOME), other=[(torch.tensor(0), SOME), (torch.tensor(4), SOME)])


def test_a_mask_beside_other_indices() -> None:
    """Writes to as many places as there are indices."""
    model = Calls(lambda x, i, mask, v: (x.index_put((i, mask), v), x.index_put((mask[:4], i), v, accumulate=True)))
    value, i = torch.arange(3.0), torch.tensor([0, 2, 3])
    masks = torch.tensor([[True, False, True, True, False, False], [True, True, False, True, False, False]])
    compare_with_eager(model, (SOME, i, masks[0], value), other=[(SOME * 2, i, masks[1], value)])


def test_a_mask_that_is_not_supported() -> None:
    model = Calls(lambda x: x.index_put((x[:, 0] > 0, torch.tensor(1)), x[x[:, 0] > 0, 0]))
    with pytest.raises(ModelImportError, match=r"index_put at .*data_dependent\.py:\d+.*mask"):
        compare_with_eager(model, (SOME,))
