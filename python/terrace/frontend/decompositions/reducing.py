"""Moments, and products and sums so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from terrace.frontend.own_operators import scan

aten = torch.ops.aten
Number = int | float

LONGEST = 32
"""The turns of a scan whose length is dynamic: enough for any row that fits into memory."""


def in_full_precision(value: torch.Tensor) -> torch.Tensor:
    """Half precision as float32; the rest as it is."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def moments(
    value: torch.Tensor, dim: Sequence[int] | None = None, *, correction: Number | None = None, keepdim: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """The variance and the mean. torch-mlir divides by a negative number where the correction is above the count."""
    dims = list(dim) if dim and value.ndim else list(range(value.ndim))
    exact = in_full_precision(value)
    mean = exact.mean(dims, keepdim=True) if dims else exact
    centred = exact - mean
    total = (centred * centred).sum(dims, keepdim=keepdim) if dims else centred * centred
    count: Any = 1
    for axis in dims:
        count = count * value.shape[axis]
    degrees = count - (1 if correction is None else correction)
    if isinstance(degrees, (int, float)):
        variance = total / max(degrees, 0)
    else:
        variance = total / torch.scalar_tensor(degrees, dtype=total.dtype).clamp(min=0)
    kept = mean if keepdim or not dims else mean.squeeze(dims)
    return variance.to(value.dtype), kept.to(value.dtype)


def variance(value: torch.Tensor, dim: Sequence[int] | None = None, **options: Any) -> torch.Tensor:
    return moments(value, dim, **options)[0]


def doubling(value: torch.Tensor, dim: int, combine: Callable[..., torch.Tensor]) -> torch.Tensor:
    """`combine` of all elements so far along `dim`: after each turn, of twice as many of the last."""
    size = value.shape[dim]
    places = torch.arange(size, device=value.device)
    shape = [size if axis == dim % value.ndim else 1 for axis in range(value.ndim)]
    turns = (size - 1).bit_length() if isinstance(size, int) else LONGEST
    for turn in range(turns if size else 0):
        before = places - (1 << turn)
        earlier = aten.index_select.default(value, dim, before.clamp(min=0))
        value = torch.where((before >= 0).reshape(shape), combine(earlier, value), value)
    return value


def cumprod(value: torch.Tensor, dim: int, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Products so far."""
    dtype = dtype or (value.dtype if value.is_floating_point() else torch.int64)
    if not value.ndim:
        return value.to(dtype)
    return scan(value.to(dtype), dim, "prod")


def logcumsumexp(value: torch.Tensor, dim: int) -> torch.Tensor:
    """Logarithms of the sums of exponentials so far, none of which overflows."""
    if not value.ndim:
        return value
    return doubling(value.to(torch.float64), dim, torch.logaddexp).to(value.dtype)


def product(
    value: torch.Tensor, dims: Sequence[int] | None, *, output_dtype: torch.dtype | None = None
) -> torch.Tensor:
    """The primitive, which takes several dimensions at once, as a product along each."""
    for dim in sorted(range(value.ndim) if dims is None else dims, reverse=True):
        value = aten.prod.dim_int(value, dim, dtype=output_dtype)
    return value.clone() if output_dtype is None else value.to(output_dtype)


def norm(
    value: torch.Tensor,
    ord: Number | None = None,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """That of a vector, or of all elements where no order is given; those of matrices are left."""
    if ord is not None and (value.ndim if dim is None else len(dim)) != 1:
        return NotImplemented
    return aten.linalg_vector_norm.default(value, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.cumprod.default: cumprod,
    aten.linalg_norm.default: norm,
    aten.logcumsumexp.default: logcumsumexp,
    aten.var.correction: variance,
    aten.var_mean.correction: moments,
    torch.ops.prims.prod.default: product,
}
