"""A mixture of 8 experts on 64 tokens, in which each token takes the two experts that score highest.

Every expert computes every token and the gates, most of them zero, weigh the results: shapes stay static.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

SMALL = {"tokens": 12, "width": 16, "hidden": 32, "experts": 4}
"""Arguments of `build` for a quick test."""


class MixtureOfExperts(nn.Module):
    """A router, and experts that are feed-forward networks with GELU."""

    def __init__(self, width: int, hidden: int, experts: int, chosen: int = 2) -> None:
        super().__init__()
        self.chosen = chosen
        self.router = nn.Linear(width, experts, bias=False)
        self.up = nn.Parameter(torch.randn(experts, width, hidden) * width**-0.5)
        self.down = nn.Parameter(torch.randn(experts, hidden, width) * hidden**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` is [tokens, width]."""
        gates = self.route(x)
        hidden = F.gelu(torch.einsum("tw,ewh->eth", x, self.up))
        return x + torch.einsum("eth,ehw,te->tw", hidden, self.down, gates)

    def route(self, x: torch.Tensor) -> torch.Tensor:
        """[tokens, experts]: the weights of the chosen experts, which sum to 1; zero for the others."""
        scores, experts = torch.topk(self.router(x), self.chosen, dim=-1)
        weights = scores.softmax(dim=-1)
        return x.new_zeros(x.shape[0], self.router.out_features).scatter(1, experts, weights)


def build(
    *, tokens: int = 64, width: int = 256, hidden: int = 1024, experts: int = 8
) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, and an input."""
    torch.manual_seed(0)
    model = MixtureOfExperts(width, hidden, experts)
    return model.eval(), (torch.randn(tokens, width),)
