"""Reductions at indices, by those that take part of the old values: the only ones that torch-mlir lowers rightly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten


def scatter_reduce(
    value: torch.Tensor,
    dim: int,
    index: torch.Tensor,
    source: torch.Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> torch.Tensor:
    """Without the old values, the reduction begins at what changes no result; a mean is a sum and a count."""
    if include_self and reduce != "mean":
        return NotImplemented
    if not include_self:
        value = aten.scatter.value(value, dim, index, neutral_element(reduce, value.dtype))
    if reduce != "mean":
        return aten.scatter_reduce.two(value, dim, index, source, reduce)
    total = aten.scatter_reduce.two(value, dim, index, source, "sum")
    count = torch.ones_like(value) if include_self else torch.zeros_like(value)
    count = aten.scatter_reduce.two(count, dim, index, torch.ones_like(source), "sum").clamp(min=1)
    return torch.div(total, count, rounding_mode=None if value.is_floating_point() else "floor")


def index_reduce(
    value: torch.Tensor, dim: int, index: torch.Tensor, source: torch.Tensor, reduce: str, *, include_self: bool = True
) -> torch.Tensor:
    """The same for whole slices."""
    if value.ndim == 0:
        return NotImplemented
    shape = [-1 if axis == dim % value.ndim else 1 for axis in range(value.ndim)]
    whole = index.to(torch.int64).view(shape).expand(source.shape)
    return aten.scatter_reduce.two(value, dim, whole, source, reduce, include_self=include_self)


def scatter(
    value: torch.Tensor, dim: int, index: torch.Tensor, source: torch.Tensor | float, *, reduce: str
) -> torch.Tensor:
    """`scatter(..., reduce="add")`, which is the older way to write the same."""
    if not isinstance(source, torch.Tensor):
        source = torch.full_like(index, source, dtype=value.dtype)
    return aten.scatter_reduce.two(value, dim, index, source, {"add": "sum", "multiply": "prod"}[reduce])


def neutral_element(reduce: str, dtype: torch.dtype) -> float:
    """What a reduction may begin at."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if dtype.is_floating_point:
        return float("-inf" if reduce == "amax" else "inf")
    limits = torch.iinfo(dtype)
    return limits.min if reduce == "amax" else limits.max


SCATTER_REDUCTIONS: dict[Any, Callable[..., Any]] = {
    aten.index_reduce.default: index_reduce,
    aten.scatter.reduce: scatter,
    aten.scatter.value_reduce: scatter,
    aten.scatter_reduce.two: scatter_reduce,
}
