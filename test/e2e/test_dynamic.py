"""One compile, many sizes: an MLP of any batch, a BERT of any length, through our matrix products."""

from __future__ import annotations

import pytest
import terrace
import torch
from e2e_models import assert_close, eager, example, other_input, products
from terrace.runtime.model import CompiledModel
from torch import nn
from torch.export import Dim

SIZES = (2, 7, 14, 33, 128)
"""Fewer than a tile, a tile, no multiple of one, many."""


@pytest.fixture(scope="module")
def mlp() -> tuple[nn.Module, CompiledModel]:
    model, (x,) = example("mlp").build()
    return model, terrace.compile(model, (x,), dynamic_shapes={"x": {0: Dim("batch", min=1, max=4096)}})


@pytest.fixture(scope="module")
def bert() -> tuple[nn.Module, CompiledModel]:
    module = example("bert_base")
    torch.manual_seed(0)
    model = module.Bert(layers=2, width=192, heads=4, hidden=448, vocabulary=1000, positions=160)
    module.randomize(model.eval())
    ids = torch.randint(0, 1000, (1, 16))
    return model, terrace.compile(model, (ids,), dynamic_shapes={"ids": {1: Dim("length", min=2, max=160)}})


@pytest.mark.parametrize("size", SIZES)
def test_batch(mlp: tuple[nn.Module, CompiledModel], size: int) -> None:
    model, compiled = mlp
    x = other_input(torch.empty(size, 256))
    assert_close(compiled(x), eager(model, x))


@pytest.mark.parametrize("size", SIZES)
def test_length(bert: tuple[nn.Module, CompiledModel], size: int) -> None:
    model, compiled = bert
    ids = other_input(torch.full((1, size), 1000))
    assert_close(compiled(ids), eager(model, ids))


def test_the_products_are_ours(mlp: tuple[nn.Module, CompiledModel], bert: tuple[nn.Module, CompiledModel]) -> None:
    for (_, compiled), least in ((mlp, 3), (bert, 2 * 7)):
        rows = products(compiled.report().rows)
        assert sum(row["calls"] for row in rows) >= least
        assert all(row["by"] == "terrace" and "?" in row["shape"] for row in rows)


def test_a_size_out_of_range_is_refused(bert: tuple[nn.Module, CompiledModel]) -> None:
    for size in (1, 161):
        with pytest.raises(terrace.InputError, match=rf"2 <= \w+ <= 160, found {size}"):
            bert[1](torch.zeros(1, size, dtype=torch.int64))
