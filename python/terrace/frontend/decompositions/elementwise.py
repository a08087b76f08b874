"""Arithmetic, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten
Number = bool | int | float


def with_number(op: Any) -> Callable[[torch.Tensor, Number], torch.Tensor]:
    """The decomposition of an op on a tensor and a number into `op`, which is the same on two tensors."""

    def decompose(value: torch.Tensor, number: Number) -> torch.Tensor:
        dtype = torch.result_type(value, number)
        return op(value.to(dtype), aten.full.default([], number, dtype=dtype))

    return decompose


def of_number(op: Any) -> Callable[[Number, torch.Tensor], torch.Tensor]:
    """The same for an op on a number and a tensor."""

    def decompose(number: Number, value: torch.Tensor) -> torch.Tensor:
        dtype = torch.result_type(number, value)
        return op(aten.full.default([], number, dtype=dtype), value.to(dtype))

    return decompose


def shift(op: Any) -> Callable[[torch.Tensor, torch.Tensor | Number], torch.Tensor]:
    """The decomposition of `<<` or `>>` into `op`, which is the same on tensors of integers."""

    def decompose(value: torch.Tensor, amount: torch.Tensor | Number) -> torch.Tensor:
        if torch.result_type(value, amount).is_floating_point:
            return NotImplemented
        return op(value, amount) if isinstance(amount, torch.Tensor) else with_number(op)(value, amount)

    return decompose


def erfc(value: torch.Tensor) -> torch.Tensor:
    return 1 - torch.erf(value)


def log10(value: torch.Tensor) -> torch.Tensor:
    """IREE's CPU code has no log10."""
    return torch.log(value) * (1 / math.log(10))


def hypot(lhs: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    """The root of the sum of squares, none of which overflows or vanishes; an infinity beats NaN."""
    dtype = torch.result_type(lhs, rhs)
    lhs, rhs = lhs.to(dtype).abs(), rhs.to(dtype).abs()
    is_infinite = torch.logical_or(lhs == math.inf, rhs == math.inf)
    if dtype != torch.float64:
        # float64 holds the squares of all smaller types.
        lhs, rhs = lhs.to(torch.float64), rhs.to(torch.float64)
        root = torch.sqrt(lhs * lhs + rhs * rhs)
    else:
        large, small = torch.maximum(lhs, rhs), torch.minimum(lhs, rhs)
        ratio = torch.where(large > 0, small / large, large)
        root = large * torch.sqrt(1 + ratio * ratio)
    return torch.where(is_infinite, math.inf, root.to(dtype))


def signbit(value: torch.Tensor) -> torch.Tensor:
    """Whether the sign bit is set, of zeros and NaN, too."""
    if value.dtype == torch.bool:
        return torch.zeros_like(value)
    if not value.is_floating_point():
        return value < 0
    return aten.copysign.Tensor(torch.ones_like(value), value) < 0


def cdist(first: torch.Tensor, second: torch.Tensor, p: float, compute_mode: int | None) -> torch.Tensor:
    """Distances of all rows of `first` from all of `second`."""
    return torch.linalg.vector_norm(first.unsqueeze(-2) - second.unsqueeze(-3), p, dim=-1)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.__lshift__.Scalar: shift(aten.bitwise_left_shift.Tensor),
    aten.__lshift__.Tensor: shift(aten.bitwise_left_shift.Tensor),
    aten.__rshift__.Scalar: shift(aten.bitwise_right_shift.Tensor),
    aten.__rshift__.Tensor: shift(aten.bitwise_right_shift.Tensor),
    aten._cdist_forward.default: cdist,
    aten.bitwise_and.Scalar_Tensor: of_number(aten.bitwise_and.Tensor),
    aten.bitwise_left_shift.Scalar_Tensor: of_number(aten.bitwise_left_shift.Tensor),
    aten.bitwise_left_shift.Tensor_Scalar: with_number(aten.bitwise_left_shift.Tensor),
    aten.bitwise_or.Scalar: with_number(aten.bitwise_or.Tensor),
    aten.bitwise_or.Scalar_Tensor: of_number(aten.bitwise_or.Tensor),
    aten.bitwise_right_shift.Scalar_Tensor: of_number(aten.bitwise_right_shift.Tensor),
    aten.bitwise_right_shift.Tensor_Scalar: with_number(aten.bitwise_right_shift.Tensor),
    aten.bitwise_xor.Scalar: with_number(aten.bitwise_xor.Tensor),
    aten.bitwise_xor.Scalar_Tensor: of_number(aten.bitwise_xor.Tensor),
    aten.copysign.Scalar: with_number(aten.copysign.Tensor),
    aten.erfc.default: erfc,
    aten.hypot.default: hypot,
    aten.log10.default: log10,
    aten.remainder.Scalar_Tensor: of_number(aten.remainder.Tensor),
    aten.signbit.default: signbit,
}
