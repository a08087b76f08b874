"""A small actor and critic: from 16 observations of 24 numbers to a Gaussian over 6 actions and a value."""

from __future__ import annotations

import torch
from torch import nn


class PolicyNetwork(nn.Module):
    """Observations are normalised by running statistics; actor and critic are networks of their own."""

    def __init__(self, observations: int = 24, actions: int = 6, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.randn(observations))
        self.register_buffer("variance", torch.rand(observations) + 0.5)
        self.actor = self.network(observations, actions, width)
        self.critic = self.network(observations, 1, width)
        self.log_deviation = nn.Parameter(torch.randn(actions))

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The mean and the standard deviation of each action, and the value of each state."""
        x = ((observation - self.mean) / torch.sqrt(self.variance + 1e-8)).clamp(-5, 5)
        mean = torch.tanh(self.actor(x))
        deviation = self.log_deviation.clamp(-5, 2).exp().expand_as(mean)
        return mean, deviation, self.critic(x).squeeze(-1)

    @staticmethod
    def network(inputs: int, outputs: int, width: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs)
        )


def build() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights and statistics, and an input."""
    torch.manual_seed(0)
    model = PolicyNetwork()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight)
    return model.eval(), (torch.randn(16, 24),)
