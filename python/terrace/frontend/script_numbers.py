"""TorchScript's ops that make a number of a tensor, or of another number: PyTorch cannot export them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten


def number_of(value: Any) -> Any:
    """A number, or the element of a tensor as one; True and False count as 1 and 0."""
    if not isinstance(value, torch.Tensor):
        return value
    return (value.to(torch.int64) if value.dtype == torch.bool else value).item()


def integer_of(value: Any) -> Any:
    return torch.sym_int(number_of(value))


def float_of(value: Any) -> Any:
    return torch.sym_float(number_of(value))


IN_PYTHON: dict[Any, Callable[[Any], Any]] = {
    aten.Float: float_of,
    aten.FloatImplicit: float_of,
    aten.Int: integer_of,
    aten.IntImplicit: integer_of,
    aten.ScalarImplicit: number_of,
}
"""Functions of Python for them, which PyTorch traces."""
