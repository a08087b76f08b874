"""Decompositions that PyTorch and torch-mlir lack, or of which torch-mlir's own lowering is wrong.

A decomposition that returns NotImplemented leaves the op as it is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

aten = torch.ops.aten


def split_with_sizes(value: torch.Tensor, sizes: Sequence[int], dim: int = 0) -> list[torch.Tensor]:
    """The parts as slices: each is then an op with one result."""
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [aten.slice.Tensor(value, dim, start, start + size) for start, size in zip(starts, sizes, strict=True)]


def roll(value: torch.Tensor, shifts: Sequence[int], dims: Sequence[int] = ()) -> torch.Tensor:
    """Rolled in each dimension; torch-mlir's own is wrong for shifts beyond the size."""
    if not dims:
        return aten.view(roll_dimension(aten.view(value.contiguous(), [-1]), shifts[0], 0), list(value.shape))
    for shift, dim in zip(shifts, dims, strict=True):
        value = roll_dimension(value, shift, dim)
    return value


def roll_dimension(value: torch.Tensor, shift: int, dim: int) -> torch.Tensor:
    """Two slices, exchanged; a gather where the size, and so the place to cut, is known when the program runs."""
    size = value.shape[dim]
    if not isinstance(size, int):
        places = torch.remainder(torch.arange(size, device=value.device) - shift, size)
        return aten.index_select.default(value, dim, places)
    place = -shift % size if size else 0
    if place == 0:
        return value
    parts = [aten.slice.Tensor(value, dim, place, size), aten.slice.Tensor(value, dim, 0, place)]
    return aten.cat.default(parts, dim)


def with_number(op: Any) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """The decomposition of an op on a tensor and a number into `op`, which is the same on two tensors."""

    def decompose(value: torch.Tensor, number: float) -> torch.Tensor:
        return op(value, aten.full.default([], number, dtype=value.dtype))

    return decompose


def fmod(value: torch.Tensor, divisor: float) -> torch.Tensor:
    """The remainder with the sign of `value`."""
    if isinstance(divisor, float) and not value.is_floating_point():
        return NotImplemented
    return value - aten.div.Tensor_mode(value, divisor, rounding_mode="trunc") * divisor


def divide(lhs: torch.Tensor, rhs: torch.Tensor | float, *, rounding_mode: str | None) -> torch.Tensor:
    """Rounding division of narrow integers."""
    if rounding_mode is None:
        return NotImplemented
    return in_32_bits(functools.partial(aten.div.Tensor_mode, rounding_mode=rounding_mode), lhs, rhs)


def floor_divide(lhs: torch.Tensor, rhs: torch.Tensor | float) -> torch.Tensor:
    return divide(lhs, rhs, rounding_mode="floor")


def remainder(lhs: torch.Tensor, rhs: torch.Tensor | float) -> torch.Tensor:
    """The remainder, with the sign of `rhs`, of narrow integers."""
    op = aten.remainder.Tensor if isinstance(rhs, torch.Tensor) else aten.remainder.Scalar
    return in_32_bits(op, lhs, rhs)


def in_32_bits(op: Callable[..., torch.Tensor], lhs: torch.Tensor, rhs: torch.Tensor | float) -> torch.Tensor:
    """`op` in 32 bits where its result has fewer: torch-mlir crashes on the division of narrow integers."""
    narrow = torch.result_type(lhs, rhs)
    if narrow not in (torch.int8, torch.int16):
        return NotImplemented
    return op(lhs.to(torch.int32), rhs.to(torch.int32) if isinstance(rhs, torch.Tensor) else rhs).to(narrow)


def erfc(value: torch.Tensor) -> torch.Tensor:
    return 1 - torch.erf(value)


def log10(value: torch.Tensor) -> torch.Tensor:
    """IREE's CPU code has no log10."""
    return torch.log(value) * (1 / math.log(10))


def hypot(lhs: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    """The root of the sum of squares, of which none overflows."""
    large, small = torch.maximum(lhs.abs(), rhs.abs()), torch.minimum(lhs.abs(), rhs.abs())
    ratio = torch.where(large > 0, small / large, large)
    return large * torch.sqrt(1 + ratio * ratio)


def kthvalue(value: torch.Tensor, k: int, dim: int = -1, keepdim: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The k-th of the sorted values; of equal ones, any index."""
    if value.ndim == 0:
        return NotImplemented
    values, indices = torch.sort(value, dim=dim)
    parts = [part.narrow(dim, k - 1, 1) for part in (values, indices)]
    first, second = parts if keepdim else [part.squeeze(dim) for part in parts]
    return first.clone(), second.clone()


def cdist(first: torch.Tensor, second: torch.Tensor, p: float, compute_mode: int | None) -> torch.Tensor:
    """Distances of all rows of `first` from all of `second`."""
    return torch.linalg.vector_norm(first.unsqueeze(-2) - second.unsqueeze(-3), p, dim=-1)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten._cdist_forward.default: cdist,
    aten.bitwise_or.Scalar: with_number(aten.bitwise_or.Tensor),
    aten.bitwise_xor.Scalar: with_number(aten.bitwise_xor.Tensor),
    aten.div.Scalar_mode: divide,
    aten.div.Tensor_mode: divide,
    aten.erfc.default: erfc,
    aten.floor_divide.default: floor_divide,
    aten.fmod.Scalar: fmod,
    aten.hypot.default: hypot,
    aten.kthvalue.default: kthvalue,
    aten.log10.default: log10,
    aten.remainder.Scalar: remainder,
    aten.remainder.Tensor: remainder,
    aten.roll.default: roll,
    aten.split_with_sizes.default: split_with_sizes,
}
