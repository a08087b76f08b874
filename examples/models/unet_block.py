"""One level of a diffusion UNet, down and up again, with attention at the bottom and the time step embedded."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

SMALL = {"side": 8, "width": 16}
"""Arguments of `build` for a quick test."""


class TimeEmbedding(nn.Module):
    """Sines and cosines of the time step at many frequencies, through two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.half = width // 2
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))

    def forward(self, step: torch.Tensor) -> torch.Tensor:
        exponents = torch.arange(self.half, device=step.device) / self.half
        angles = step[:, None] * torch.exp(-math.log(10000.0) * exponents)
        return self.layers(torch.cat((angles.sin(), angles.cos()), dim=-1))


class ResidualBlock(nn.Module):
    """Two convolutions of normalised inputs, the time embedding between them, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))
        self.second = nn.Sequential(nn.GroupNorm(8, outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, padding=1))
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        y = self.first(x) + self.time(time)[:, :, None, None]
        return self.shortcut(x) + self.second(y)


class SpatialAttention(nn.Module):
    """Attention of all pixels with all others, added to them."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, width)
        self.input = nn.Conv2d(width, 3 * width, 1)
        self.output = nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.input(self.norm(x)).chunk(3, dim=1)
        query, key, value = (part.unflatten(1, (self.heads, -1)).flatten(3).transpose(2, 3) for part in parts)
        context = F.scaled_dot_product_attention(query, key, value)
        return x + self.output(context.transpose(2, 3).reshape(x.shape))


class UNetLevel(nn.Module):
    """Down to half the size and twice the width, attention, and up again beside what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = TimeEmbedding(width)
        self.before = ResidualBlock(width, width, 4 * width)
        self.down = nn.Conv2d(width, 2 * width, 3, 2, padding=1)
        self.middle = ResidualBlock(2 * width, 2 * width, 4 * width)
        self.attention = SpatialAttention(2 * width)
        self.up = nn.Conv2d(2 * width, width, 3, padding=1)
        self.after = ResidualBlock(2 * width, width, 4 * width)

    def forward(self, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        time = self.embedding(step)
        kept = self.before(x, time)
        x = self.attention(self.middle(self.down(kept), time))
        x = self.up(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.after(torch.cat((x, kept), dim=1), time)


def randomize_norms(model: nn.Module) -> None:
    """Norms that are not the identity."""
    for module in model.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)


def build(*, side: int = 32, width: int = 64) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, and two noisy images with the time step of each."""
    torch.manual_seed(0)
    model = UNetLevel(width)
    randomize_norms(model)
    return model.eval(), (torch.randn(2, width, side, side), torch.tensor([3, 250]))
