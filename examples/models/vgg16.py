"""VGG-16 on one 224x224 colour image."""

from __future__ import annotations

import torch
from torch import nn

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each stage; a max pool ends it."""

SMALL = {"image": 32, "hidden": 128}
"""Arguments of `build` for a quick test."""


class Vgg16(nn.Module):
    """Thirteen 3x3 convolutions in five stages, then three fully connected layers of `hidden` units."""

    def __init__(self, *, image: int = 224, hidden: int = 4096, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs, convolutions in STAGES:
            for _ in range(convolutions):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512 * (image // 32) ** 2, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))


def build(*, image: int = 224, hidden: int = 4096) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, and an input; `image` is a multiple of 32."""
    torch.manual_seed(0)
    model = Vgg16(image=image, hidden=hidden)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    return model.eval(), (torch.randn(1, 3, image, image),)
