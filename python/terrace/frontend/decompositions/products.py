"""Distances, and products with vectors and along time."""

from __future__ import annotations

from collections.abc import Callable
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


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten._cdist_forward.default: cdist,
    aten._pdist_forward.default: pdist,
    aten.addmv.default: addmv,
    aten.conv_tbc.default: conv_tbc,
    aten.dist.default: dist,
}
