"""Attention of any heads, masks and ranks runs by our kernels, and the report counts its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import terrace
import torch
import torch.nn.functional as F
from e2e_models import assert_close, eager, multiply_adds
from torch import nn
from torch.export import Dim


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(*args)


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


attention = F.scaled_dot_product_attention
CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "one_key_head": (lambda q, k, m: attention(q, k, k, m), ((2, 4, 16, 8), (2, 1, 16, 8), (2, 4, 16, 16))),
    "one_key_batch": (lambda q, k: attention(q, k, k, is_causal=True), ((2, 4, 16, 8), (1, 1, 16, 8))),
    "truth_values": (lambda q, k, m: attention(q, k, k, m > 0), ((2, 4, 16, 8), (2, 1, 12, 8), (16, 12))),
    "grouped": (lambda q, k, m: attention(q, k, k, m, enable_gqa=True), ((2, 4, 16, 8), (2, 2, 16, 8), (16, 16))),
    "groups_of_keys_and_of_values": (
        lambda q, k, v: attention(q, k, v, enable_gqa=True),
        ((2, 8, 16, 8), (2, 2, 16, 8), (2, 4, 16, 8)),
    ),
    "one_key_head_but_all_of_values": (lambda q, k: attention(q, k, q), ((2, 4, 16, 8), (2, 1, 16, 8))),
    "one_query_head": (lambda q, k: attention(q, k, k), ((2, 1, 16, 8), (2, 4, 12, 8))),
    "keys_of_lower_rank": (lambda q, k: attention(q, k, k, scale=0.3), ((2, 4, 16, 8), (4, 12, 8))),
    "matrices": (lambda q, k: attention(q, k, k), ((16, 8), (12, 8))),
}


@pytest.mark.parametrize("name", CASES)
def test_kernels_of_ours_run_attention(name: str) -> None:
    function, shapes = CASES[name]
    model, args = Calls(function), tuple(randn(*shape) for shape in shapes)
    compiled = terrace.compile(model, args)
    assert_close(compiled(*args), eager(model, *args))
    rows = compiled.report().layers
    assert sum(row["macs"] for row in rows if row["by"] == "terrace") == multiply_adds(model, args)


def test_attention_of_dynamic_sizes() -> None:
    model = Calls(lambda q, k, m: attention(q, k, k, m))
    args = randn(2, 4, 16, 8), randn(2, 1, 12, 8), randn(2, 4, 16, 12)
    n, rows, columns, width = (Dim(name, min=2, max=64) for name in ("n", "rows", "columns", "width"))
    shapes = ({0: n, 2: rows, 3: width}, {0: n, 2: columns, 3: width}, {0: n, 2: rows, 3: columns})
    compiled = terrace.compile(model, args, dynamic_shapes=(shapes,))
    for call in (args, (randn(3, 4, 5, 16), randn(3, 1, 7, 16), randn(3, 4, 5, 7))):
        assert_close(compiled(*call), eager(model, *call))
