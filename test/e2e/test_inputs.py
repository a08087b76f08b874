"""A program writes to those inputs alone that its model writes to: IREE would update any that nothing else uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import terrace
import torch
from e2e_models import assert_close
from terrace.errors import InputError
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


def fill_rows(x: torch.Tensor, v: torch.Tensor) -> None:
    x[1:] = v
    x[0].zero_()


def count(x: torch.Tensor, v: torch.Tensor) -> dict[str, torch.Tensor]:
    total = x.sum() + v.sum()
    return {"total": total, "same": x.add_(1), "again": x, "other": v}


WRITES: dict[str, Callable[..., Any]] = {
    "whole": lambda x, v: x.add_(v.sum()),
    "view": lambda x, v: x[:, 1].mul_(2) + v.sum(),
    "several": lambda x, v: (x.add_(1), v.mul_(x.sum())),
    "rows": fill_rows,
    "count": count,
}


@pytest.mark.parametrize("name", WRITES)
def test_what_a_model_writes_to_its_arguments(name: str) -> None:
    torch.manual_seed(0)
    args = torch.randn(3, 4), torch.randn(2, 4)
    compiled = terrace.compile(Calls(WRITES[name]), tuple(value.clone() for value in args))
    have, want = [[value.clone() for value in args] for _ in range(2)]
    for _ in range(2):
        found, expected = compiled(*have), WRITES[name](*want)
        torch.testing.assert_close(have, want)
        torch.testing.assert_close(found, expected)
    if name == "count":
        assert found["same"] is have[0] and found["again"] is have[0] and found["other"] is not have[1]


def test_where_written_values_go() -> None:
    add = lambda x, flag, y: x.add_(y) if flag else y  # noqa: E731
    ones = torch.ones(3, 4)
    compiled = terrace.compile(Calls(add), (torch.zeros(3, 4), True, ones))
    gaps, turned, array = torch.zeros(3, 8), torch.zeros(4, 3).t(), np.zeros((3, 4), np.float32)
    for value in (gaps[:, ::2], turned, array):
        assert compiled(value, True, ones) is value
    assert gaps.sum() == 12 and turned.sum() == 12 and array.sum() == 12 and gaps[:, 1::2].sum() == 0
    read_only = np.zeros((3, 4), np.float32)
    read_only.flags.writeable = False
    refused = {"read-only": read_only, "elements share": torch.zeros(4).expand(3, 4), r"args\[2\] shares": ones}
    for word, value in refused.items():
        with pytest.raises(InputError, match=rf"args\[0\].*{word}"):
            compiled(value, True, ones)
    assert torch.equal(ones, torch.ones(3, 4))


def test_written_arguments_of_a_file(tmp_path: Any) -> None:
    terrace.compile(Calls(lambda x: x.add_(1)), (torch.zeros(2),)).save(tmp_path / "model.terrace")
    value = torch.zeros(2)
    assert terrace.load(tmp_path / "model.terrace")(value) is value and value.sum() == 2
