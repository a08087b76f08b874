"""AlexNet on one 224x224 colour image."""

from __future__ import annotations

import torch
from torch import nn

SMALL = {"hidden": 128}
"""Arguments of `build` for a quick test."""


class AlexNet(nn.Module):
    """Five convolutions with max pools, then three fully connected layers of `hidden` units."""

    def __init__(self, *, hidden: int = 4096, classes: int = 1000) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 6 * 6, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))


def build(*, hidden: int = 4096) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, and an input."""
    torch.manual_seed(0)
    model = AlexNet(hidden=hidden)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    return model.eval(), (torch.randn(1, 3, 224, 224),)
