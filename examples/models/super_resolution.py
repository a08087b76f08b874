"""A sub-pixel convolution network that enlarges one 224x224 grey image three times."""

from __future__ import annotations

import torch
from torch import nn


class SuperResolution(nn.Module):
    """Four convolutions, ReLU between them, and a pixel shuffle."""

    def __init__(self, factor: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 64, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, factor * factor, 3, padding=1),
            nn.PixelShuffle(factor),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def build() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, and an input."""
    torch.manual_seed(0)
    return SuperResolution().eval(), (torch.randn(1, 1, 224, 224),)
