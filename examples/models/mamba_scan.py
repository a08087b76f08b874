"""A Mamba block on a sequence of 16: a state-space model whose step, input and output depend on the input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

SMALL = {"length": 6, "width": 16}
"""Arguments of `build` for a quick test."""


class MambaBlock(nn.Module):
    """A causal depthwise convolution and the selective scan, gated, added to the input."""

    def __init__(self, width: int, states: int = 16, kernel: int = 4) -> None:
        super().__init__()
        inner = 2 * width
        self.states, self.rank = states, max(width // 16, 1)
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.input = nn.Linear(width, 2 * inner, bias=False)
        self.convolution = nn.Conv1d(inner, inner, kernel, padding=kernel - 1, groups=inner)
        self.selection = nn.Linear(inner, self.rank + 2 * states, bias=False)
        self.step = nn.Linear(self.rank, inner)
        self.log_decay = nn.Parameter(torch.log(torch.arange(1.0, states + 1)).repeat(inner, 1))
        self.skip = nn.Parameter(torch.randn(inner))
        self.output = nn.Linear(inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` is [batch, length, width]."""
        inner, gate = self.input(self.norm(x)).chunk(2, dim=-1)
        inner = self.convolution(inner.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2)
        return x + self.output(self.scan(F.silu(inner)) * F.silu(gate))

    def scan(self, x: torch.Tensor) -> torch.Tensor:
        """state = exp(step * A) * state + step * B * x; y = C * state + D * x, position after position."""
        step, key, query = self.selection(x).split((self.rank, self.states, self.states), dim=-1)
        step = F.softplus(self.step(step)).unsqueeze(-1)
        decay = torch.exp(step * -torch.exp(self.log_decay))
        drive = step * key.unsqueeze(2) * x.unsqueeze(-1)
        state = torch.zeros_like(drive[:, 0])
        outputs = []
        for position in range(x.shape[1]):
            state = decay[:, position] * state + drive[:, position]
            outputs.append((state @ query[:, position, :, None]).squeeze(-1))
        return torch.stack(outputs, dim=1) + self.skip * x


def build(*, length: int = 16, width: int = 128) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The block with random weights, and an input."""
    torch.manual_seed(0)
    model = MambaBlock(width)
    nn.init.uniform_(model.norm.weight, 0.5, 1.5)
    return model.eval(), (torch.randn(2, length, width),)
