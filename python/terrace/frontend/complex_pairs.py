"""A complex tensor as a pair of real ones, and the ways between both."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch.fx.node import Argument

REAL_TYPES = {torch.complex64: torch.float32, torch.complex128: torch.float64}
"""The type of the parts of each complex type."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """A complex tensor: two real ones of the same shape and type."""

    re: torch.Tensor
    im: torch.Tensor


Value = Pair | torch.Tensor | complex | torch.SymInt | torch.SymFloat
"""What an op on complex tensors may be given as a factor: a pair, a real tensor or a number."""


class Refused(Exception):
    """An op that has a rule, but not for these operands: why, and what to do."""


def static(length: int | torch.SymInt) -> int:
    """A size that has to be known when the model is compiled."""
    if not isinstance(length, int):
        raise Refused("its length is dynamic: give that dimension a fixed size")
    return length


def view_as_complex(value: torch.Tensor) -> Pair:
    """The complex tensor that a real one with a last axis of size 2 stands for."""
    return Pair(value.select(-1, 0), value.select(-1, 1))


def as_tensor(value: Argument | Pair) -> Any:
    """A pair as a real tensor with a last axis of size 2; anything else as it is."""
    return torch.stack([value.re, value.im], -1) if isinstance(value, Pair) else value


def parts(value: Value) -> tuple[Any, Any]:
    """The real and the imaginary part of a pair, a tensor or a number; None for that of something real."""
    if isinstance(value, Pair):
        return value.re, value.im
    return (value.real, value.imag) if isinstance(value, complex) else (value, None)


def full_parts(value: Value, like: torch.Tensor) -> tuple[Any, Any]:
    """The two parts, with zeros for the imaginary one of something real; numbers stay numbers."""
    re, im = parts(value)
    if im is None:
        im = torch.zeros_like(re, dtype=like.dtype) if isinstance(re, torch.Tensor) else 0.0
    return re.to(like.dtype) if isinstance(re, torch.Tensor) else re, im


def pair_in(values: Sequence[Any]) -> torch.Tensor:
    """A part of the first pair among `values`, for its type."""
    return next(value.re for value in values if isinstance(value, Pair))


def to_type(found: Any, result: Any) -> Any:
    """What a rule found, in the type that the op's result `result` has."""
    if isinstance(found, (list, tuple)):
        return [to_type(item, one) for item, one in zip(found, result, strict=True)]
    if isinstance(found, Pair):
        if not result.is_complex():
            return found.re.to(result.dtype)
        return Pair(found.re.to(REAL_TYPES[result.dtype]), found.im.to(REAL_TYPES[result.dtype]))
    if not isinstance(found, torch.Tensor):
        return found
    if result.is_complex():
        real = found.to(REAL_TYPES[result.dtype])
        return Pair(real, torch.zeros_like(real))
    return found.to(result.dtype)
