"""Distances, and products with vectors and along time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_letters
from typing import Any

import torch

aten = torch.ops.aten
Number = int | float


def cdist(first: torch.Tensor, second: torch.Tensor, p: float, compute_mode: int | None) -> torch.Tensor:
    """Distances of all rows of `first` from all of `second`."""
    return torch.linalg.vector_norm(first.unsqueeze(-2) - second.unsqueeze(-3), p, dim=-1)


def dist(first: torch.Tensor, second: torch.Tensor, p: Number = 2) -> torch.Tensor:
    return torch.linalg.vector_norm(first - second, p)


def pdist(value: torch.Tensor, p: float = 2.0) -> torch.Tensor:
    """Distances of each row from all after it."""
    if not isinstance(value.shape[0], int):
        return NotImplemented
    pairs = torch.triu_indices(value.shape[0], value.shape[0], 1, device=value.device)
    return torch.linalg.vector_norm(value[pairs[0]] - value[pairs[1]], p, dim=-1)


def addmv(
    value: torch.Tensor, matrix: torch.Tensor, vector: torch.Tensor, *, beta: Number = 1, alpha: Number = 1
) -> torch.Tensor:
    """beta * value + alpha * (matrix @ vector); with a beta of 0, nothing of `value`."""
    product = matrix @ vector
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product
    return product + (value if beta == 1 else value * beta)


def conv_tbc(value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, pad: int = 0) -> torch.Tensor:
    """A convolution of [time, batch, channels] by [kernel, in, out]."""
    batch_first, kernel = value.permute(1, 2, 0), weight.permute(2, 1, 0)
    result = aten.convolution.default(batch_first, kernel, bias, [1], [pad], [1], False, [0], 1)
    return result.permute(2, 0, 1)


def int_mm(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Of int8, the graph dialect has it; with uint8, one of int32."""
    if first.dtype == second.dtype == torch.int8:
        return NotImplemented
    return aten.mm.default(first.to(torch.int32), second.to(torch.int32))


def trilinear(
    first: torch.Tensor,
    second: torch.Tensor,
    third: torch.Tensor,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> torch.Tensor:
    """Sums over `sumdim` of products of three tensors, each without the dimensions that it is expanded by.

    A dimension that none of them has is one of size 0, as in eager.
    """
    rank = first.ndim + len(expand1)
    tensors = first, second, third
    sizes: dict[str, int] = {}
    letters = [
        [ascii_letters[axis] for axis in range(rank) if axis not in axes] for axes in (expand1, expand2, expand3)
    ]
    for names, tensor in zip(letters, tensors, strict=True):
        if any(sizes.setdefault(name, size) != size for name, size in zip(names, tensor.shape, strict=True)):
            return NotImplemented
    kept = [ascii_letters[axis] for axis in range(rank) if axis not in sumdim]
    result = "".join(name for name in kept if name in sizes)
    total = torch.einsum(f"{','.join(map(''.join, letters))}->{result}", *tensors)
    for place, name in enumerate(kept):
        if name not in sizes:
            total = total.unsqueeze(place).narrow(place, 0, 0)
    return total


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten._cdist_forward.default: cdist,
    aten._int_mm.default: int_mm,
    aten._pdist_forward.default: pdist,
    aten._trilinear.default: trilinear,
    aten.addmv.default: addmv,
    aten.conv_tbc.default: conv_tbc,
    aten.dist.default: dist,
}
