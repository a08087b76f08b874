"""A multi-layer perceptron with GELU between its layers."""

from __future__ import annotations

import itertools

import torch
from torch import nn


class Mlp(nn.Module):
    """Linear layers of the given widths."""

    def __init__(self, widths: tuple[int, ...] = (256, 512, 512, 64)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.GELU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def build() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, and an input."""
    torch.manual_seed(0)
    return Mlp().eval(), (torch.randn(8, 256),)
