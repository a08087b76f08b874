"""Ops that draw random numbers in training, as what they compute where they draw none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten


def native_dropout(value: torch.Tensor, p: float, train: bool | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Everything is kept, or nothing."""
    if not train or p == 0:
        return value.clone(), torch.ones_like(value, dtype=torch.bool)
    if p == 1:
        # NaN and infinities stay NaN, as in PyTorch.
        return value * 0, torch.zeros_like(value, dtype=torch.bool)
    return NotImplemented


def rrelu(
    value: torch.Tensor,
    noise: torch.Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The leaky ReLU of the middle slope."""
    if training:
        return NotImplemented
    return aten.leaky_relu(value, (lower + upper) / 2), noise.clone()


TRAINING_OPS: dict[Any, Callable[..., Any]] = {
    aten.native_dropout.default: native_dropout,
    aten.rrelu_with_noise_functional.default: rrelu,
}
