"""TorchScript's ops that make a number of a tensor, or of another number: PyTorch cannot export them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
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


IN_PYTHON: dict[str, Callable[[Any], Any]] = {
    "Float": float_of,
    "FloatImplicit": float_of,
    "Int": integer_of,
    "IntImplicit": integer_of,
    "ScalarImplicit": number_of,
}


_TURN = threading.RLock()


@contextlib.contextmanager
def script_numbers_in_python() -> Iterator[None]:
    """Let `torch.ops.aten.Int` and the like be functions of Python, which PyTorch traces; for one thread at a time."""
    with _TURN:
        known = {name: getattr(aten, name) for name in IN_PYTHON}
        try:
            for name, function in IN_PYTHON.items():
                setattr(aten, name, function)
            yield
        finally:
            for name, op in known.items():
                setattr(aten, name, op)
