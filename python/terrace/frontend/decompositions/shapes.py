"""Ops that move elements."""

from __future__ import annotations

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
    """Two slices, exchanged; a gather where the place to cut is known when the program runs."""
    size = value.shape[dim]
    if not (isinstance(size, int) and isinstance(shift, int)):
        places = torch.remainder(torch.arange(size, device=value.device) - shift, size)
        return aten.index_select.default(value, dim, places)
    place = -shift % size if size else 0
    if place == 0:
        return value
    parts = [aten.slice.Tensor(value, dim, place, size), aten.slice.Tensor(value, dim, 0, place)]
    return aten.cat.default(parts, dim)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.roll.default: roll,
    aten.split_with_sizes.default: split_with_sizes,
}
