"""Determinants, by elimination with the largest pivot of each column; torch-mlir takes the first, which may be 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from terrace.errors import ModelImportError

aten = torch.ops.aten


def pivots(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The pivots [..., n] of matrices, and 1 or -1 [...]: the sign of how their rows are moved."""
    if not isinstance(value.shape[-1], int):
        raise ModelImportError("determinants of matrices of a dynamic size are not supported: give them a static one")
    found, sign = [], torch.ones(value.shape[:-2], dtype=value.dtype)
    for size in range(value.shape[-1], 0, -1):
        place = value[..., 0].abs().argmax(-1, keepdim=True)
        taken = value.gather(-2, place.unsqueeze(-1).expand(*place.shape, size))
        is_taken = torch.arange(size).eq(place).unsqueeze(-1)
        # The first row goes where the pivot's was.
        rest = torch.where(is_taken, value[..., :1, :], value)[..., 1:, :]
        pivot = taken[..., :1]
        factor = torch.where(pivot == 0, 0, rest[..., :1] / pivot)
        value = rest[..., 1:] - factor * taken[..., 1:]
        sign = torch.where(place.squeeze(-1) == 0, sign, -sign)
        found.append(pivot.flatten(-2))
    return torch.cat(found, -1) if found else value.flatten(-2), sign


def det(value: torch.Tensor) -> torch.Tensor:
    """The determinant of each matrix."""
    found, sign = pivots(value)
    return found.prod(-1) * sign


def slogdet(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The sign of each determinant, and the logarithm of its magnitude."""
    found, sign = pivots(value)
    return found.sign().prod(-1) * sign, found.abs().log().sum(-1)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.linalg_det.default: det,
    aten.linalg_slogdet.default: slogdet,
}
