"""A program writes to none of its inputs: IREE would update in place one that nothing else uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import terrace
import torch
from e2e_models import assert_close
from torch import nn


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(*args)


AT = torch.tensor([2, 0])
BATCH = torch.export.Dim("batch", max=1024)
UPDATES = {
    "sort": lambda x, _: torch.sort(x, dim=0)[0],
    "topk": lambda x, _: torch.topk(x, 2, dim=0)[0],
    "index_put": lambda x, v: torch.index_put(x, (AT,), v),
    "scatter": lambda x, v: torch.scatter(x, 0, torch.zeros(1, 48, dtype=torch.int64), v),
    "slice_scatter": lambda x, v: torch.slice_scatter(x, v, 0, 1, 3),
    "slice_scatter_of_a_view": lambda x, v: torch.slice_scatter(x.view(-1, 2, 24), v.view(-1, 2, 24), 0, 1, 3),
    "baddbmm": lambda x, v: torch.baddbmm(x[None], x[None], torch.ones(1, 48, 48)),
}


@pytest.mark.parametrize("is_dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("name", UPDATES)
def test_an_update_is_made_on_a_copy(name: str, is_dynamic: bool) -> None:
    torch.manual_seed(0)
    # Large and contiguous: these are read where they are, and not copied first.
    x, v = torch.randn(64, 48), torch.randn(2, 48)
    model = Calls(UPDATES[name])
    compiled = terrace.compile(model, (x, v), dynamic_shapes=(({0: BATCH}, None),) if is_dynamic else None)
    before = x.clone(), v.clone()
    for _ in range(2):
        assert_close(compiled(x, v), model(*before))
    assert torch.equal(x, before[0]) and torch.equal(v, before[1])
