"""Writes to parts of a tensor, and bags of rows, by ops that index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten


def diagonal_scatter(
    value: torch.Tensor, source: torch.Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> torch.Tensor:
    """A select between the old elements and those of `source`, spread over the rows and columns."""
    value_last = torch.movedim(value, (dim1, dim2), (-2, -1))
    rows, columns = value_last.shape[-2:]
    row = torch.arange(rows, device=value.device).unsqueeze(1)
    column = torch.arange(columns, device=value.device)
    # Above the main diagonal, its rows are counted from 0; below, its columns.
    missing = (rows if offset >= 0 else columns) - source.shape[-1]
    spread = aten.constant_pad_nd(source, [0, missing]) if source.dtype != torch.bool else padded_truth(source, missing)
    spread = spread.unsqueeze(-1 if offset >= 0 else -2)
    written = torch.where(column - row == offset, spread, value_last)
    return torch.movedim(written, (-2, -1), (dim1, dim2))


def padded_truth(source: torch.Tensor, missing: int) -> torch.Tensor:
    return aten.constant_pad_nd(source.to(torch.uint8), [0, missing]).to(torch.bool)


def put(value: torch.Tensor, index: torch.Tensor, source: torch.Tensor, accumulate: bool = False) -> torch.Tensor:
    """A write to the elements as they are numbered row by row."""
    flat = aten.index_put.default(value.reshape(-1), [index.reshape(-1)], source.reshape(-1), accumulate)
    return flat.reshape(value.shape)


def embedding_bag(
    weight: torch.Tensor,
    indices: torch.Tensor,
    offsets: torch.Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: torch.Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Sums (0), means (1) or maxima (2) of the rows in each bag, the bag of each index, and the sizes of the bags.

    A bag goes from its offset to the next; rows of `padding_idx` do not count. The places of the maxima, which only
    gradients need, are not found. Of sums, eager gives zeros for all sizes, twice, and no bags where it has no need
    for them.
    """
    count, bags = indices.shape[0], offsets.shape[0]
    torch._assert_async((offsets[:1] == 0).all(), "the first of the offsets must be 0")
    # A bag may begin, and be empty, at the end of the indices.
    begins = aten.index_add.default(offsets.new_zeros([count + 1]), 0, offsets, torch.ones_like(offsets))
    bag = begins.cumsum(0).narrow(0, 0, count) - 1
    bags -= include_last_offset
    rows = aten.embedding.default(weight, indices)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    counts = torch.ones_like(bag) if padding_idx < 0 else (indices != padding_idx).to(bag.dtype)
    sizes = aten.index_add.default(counts.new_zeros([bags]), 0, bag, counts)
    is_padding = (counts == 0).unsqueeze(1)
    shape = [bags, weight.shape[1]]
    if mode == 2:
        # As in eager, NaN is the maximum only from the first row of a bag that counts.
        places = torch.arange(count, device=indices.device)
        first = aten.full.default([bags], count, dtype=places.dtype)
        first = aten.scatter_reduce.two(first, 0, bag, torch.where(counts > 0, places, count), "amin")
        is_first = (first.index_select(0, bag) == places).unsqueeze(1)
        is_lost = torch.logical_or(is_padding, torch.logical_and(torch.isnan(rows), torch.logical_not(is_first)))
        rows = torch.where(is_lost, -torch.inf, rows)
        largest = aten.full.default(shape, -torch.inf, dtype=rows.dtype)
        largest = aten.scatter_reduce.two(largest, 0, bag.unsqueeze(1).expand(rows.shape), rows, "amax")
        return torch.where(sizes.unsqueeze(1) == 0, 0, largest), bag, sizes, None
    total = aten.index_add.default(rows.new_zeros(shape), 0, bag, torch.where(is_padding, 0, rows))
    if mode == 1:
        return total / sizes.clamp(min=1).unsqueeze(1), bag, sizes, sizes.clone()
    has_no_bags = padding_idx < 0 and weight.dtype != torch.float64
    return total, bag.new_zeros([0]) if has_no_bags else bag, torch.zeros_like(offsets), torch.zeros_like(offsets)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten._embedding_bag.default: embedding_bag,
    aten._embedding_bag_forward_only.default: embedding_bag,
    aten.diagonal_scatter.default: diagonal_scatter,
    aten.put.default: put,
}
