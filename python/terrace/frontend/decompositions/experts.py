"""What a mixture of experts is made of: counts of numbers in bins, and products of groups of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten
Number = int | float


def histc(value: torch.Tensor, bins: int = 100, min: Number = 0, max: Number = 0) -> torch.Tensor:
    """How many numbers are in each of `bins` parts of the range; of equal bounds, that of the data is meant."""
    value = value.reshape(-1)
    if min == max and value.shape[0] == 0:
        return value.new_zeros(bins)
    low, high = (value.amin(), value.amax()) if min == max else (torch.full_like(value.sum(), x) for x in (min, max))
    if min == max:
        same = low == high
        low, high = torch.where(same, low - 1, low), torch.where(same, high + 1, high)
    inside = (value >= low) & (value <= high)
    places = ((torch.where(inside, value, low) - low) * bins / (high - low)).to(torch.int64).clamp(0, bins - 1)
    return value.new_zeros(bins).scatter_add(0, places, inside.to(value.dtype))


def grouped_mm(
    value: torch.Tensor,
    weights: torch.Tensor,
    offs: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    out_dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Rows of `value` by matrices: those before offs[0] by the first, those before offs[1] by the second, and so on.

    Rows after the last offset are 0. All rows meet all matrices in one product, of which those of their group are kept;
    where there are fewer rows than matrices, each row meets a copy of its own.
    """
    if value.ndim != 2 or weights.ndim != 3 or offs is None or bias is not None:
        return NotImplemented
    (rows, inner), (groups, _, columns) = value.shape, weights.shape
    group = (offs.unsqueeze(0) <= torch.arange(rows, device=value.device).unsqueeze(1)).to(torch.int64).sum(1)
    is_in_one, group = (group < groups).unsqueeze(1), group.clamp(max=groups - 1)
    if isinstance(rows, int) and rows < groups:
        found = torch.bmm(value.unsqueeze(1), weights.index_select(0, group)).squeeze(1)
    else:
        flat = weights.transpose(1, 2).reshape(groups * columns, inner)
        products = torch.nn.functional.linear(value, flat).reshape(rows * groups, columns)
        found = products.index_select(0, torch.arange(rows, device=value.device) * groups + group)
    return torch.where(is_in_one, found, torch.zeros_like(found)).to(out_dtype or value.dtype)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten._grouped_mm.default: grouped_mm,
    aten.histc.default: histc,
}
OF_LIBRARIES: dict[str, Callable[..., Any]] = {"transformers::grouped_mm_fallback": grouped_mm}
"""Decompositions of ops of libraries that may not be there, by their names."""
