"""Tensors that a program cannot take are refused by name, when it is compiled or called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import terrace
import torch
from terrace.errors import InputError, ModelImportError
from torch import nn


class Calls(nn.Module):
    """A function of one tensor as a module."""

    def __init__(self, function: Callable[..., Any], buffer: torch.Tensor | None = None) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("table", buffer)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x) if self.table is None else self.function(self.table) + x


X = torch.eye(3)


@pytest.mark.parametrize("value", [X.to_sparse(), X.to_sparse_csr()], ids=["coo", "csr"])
def test_an_example_that_is_no_plain_tensor(value: torch.Tensor) -> None:
    with pytest.raises(ModelImportError, match=r"'x', an input.*sparse"):
        terrace.compile(Calls(lambda x: x @ X), (value,))
    with pytest.raises(ModelImportError, match=r"'table'.*sparse"):
        terrace.compile(Calls(lambda x: x @ X, value), (X,))


def test_ops_that_raise_errors_of_their_own() -> None:
    with pytest.raises(ModelImportError, match=r"test_arguments\.py:\d+: torch.aten.linalg_inv_ex"):
        terrace.compile(Calls(torch.linalg.inv), (X,))


def test_a_call_with_no_plain_tensor() -> None:
    compiled = terrace.compile(Calls(lambda x: x + 1), (X,))
    imaginary = torch.complex(X, X).conj().imag
    cases = {"meta": X.to("meta"), "negative": imaginary, "dense": X.to_sparse(), "float8": X.to(torch.float8_e5m2)}
    for word, value in cases.items():
        with pytest.raises(InputError, match=rf"args\[0\].*{word}"):
            compiled(value)
    assert torch.equal(compiled(imaginary.resolve_neg()), imaginary + 1)
