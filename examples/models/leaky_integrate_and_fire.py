"""A spiking network of leaky integrate-and-fire neurons, unrolled over 10 time steps."""

from __future__ import annotations

import torch
from torch import nn

SMALL = {"width": 32, "steps": 4}
"""Arguments of `build` for a quick test."""


class LeakyIntegrateAndFire(nn.Module):
    """A layer of neurons: the potential leaks, gathers the input, and falls by the threshold at each spike."""

    def __init__(self, inputs: int, outputs: int, leak: float = 0.9, threshold: float = 1.0) -> None:
        super().__init__()
        self.current = nn.Linear(inputs, outputs)
        self.leak, self.threshold = leak, threshold

    def forward(self, x: torch.Tensor, potential: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The spikes, 0 or 1, and the new potential."""
        potential = self.leak * potential + self.current(x)
        spikes = (potential > self.threshold).to(x.dtype)
        return spikes, potential - self.threshold * spikes


class SpikingNetwork(nn.Module):
    """Two spiking layers; an output that sums over the steps what the second one's spikes give."""

    def __init__(self, *, width: int, steps: int, inputs: int = 64, classes: int = 10) -> None:
        super().__init__()
        self.steps = steps
        self.first = LeakyIntegrateAndFire(inputs, width)
        self.second = LeakyIntegrateAndFire(width, width)
        self.readout = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = x.new_zeros(x.shape[0], self.first.current.out_features)
        second = torch.zeros_like(first)
        total = x.new_zeros(x.shape[0], self.readout.out_features)
        for _ in range(self.steps):
            spikes, first = self.first(x, first)
            spikes, second = self.second(spikes, second)
            total = total + self.readout(spikes)
        return total


def build(*, width: int = 256, steps: int = 10) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights under which about a third of the neurons spikes, and an input."""
    torch.manual_seed(0)
    model = SpikingNetwork(width=width, steps=steps)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=2 * module.in_features**-0.5)
    return model.eval(), (torch.randn(4, 64),)
