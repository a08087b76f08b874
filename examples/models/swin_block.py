"""Two blocks of a Swin transformer, the second on shifted windows, on a 56x56 map of 96 channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

SMALL = {"side": 8, "width": 24, "window": 4}
"""Arguments of `build` for a quick test."""


class WindowAttention(nn.Module):
    """Attention within each window, with a learned bias for each relative position."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.input = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads))
        self.register_buffer("relative", relative_positions(window))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """`x` is [windows, places, width]; `mask`, [windows, 1, places, places], is added to the scores."""
        parts = self.input(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.bias[self.relative].permute(2, 0, 1).unsqueeze(0)
        scores = bias if mask is None else bias + mask
        context = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], scores)
        return self.output(context.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Window attention and a feed-forward network, each of the normalised input and added to it."""

    def __init__(self, side: int, width: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.attention_norm = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, window)
        self.hidden_norm = nn.LayerNorm(width)
        self.hidden = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.register_buffer("mask", shift_mask(side, window, shift) if shift else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` is [1, side, side, width]."""
        y = self.attention_norm(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = from_windows(self.attention(to_windows(y, self.window), self.mask), x.shape[1], self.window)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y
        return x + self.hidden(self.hidden_norm(x))


def to_windows(x: torch.Tensor, window: int) -> torch.Tensor:
    """[batch, side, side, width] as [windows, places in a window, width]."""
    batch, side, _, width = x.shape
    x = x.view(batch, side // window, window, side // window, window, width)
    return x.transpose(2, 3).reshape(-1, window * window, width)


def from_windows(x: torch.Tensor, side: int, window: int) -> torch.Tensor:
    """The inverse of `to_windows`."""
    x = x.view(-1, side // window, side // window, window, window, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, side, side, x.shape[-1])


def relative_positions(window: int) -> torch.Tensor:
    """For each two places of a window, the number of their difference among all differences."""
    places = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    difference = places[:, None] - places[None] + window - 1
    return difference[..., 0] * (2 * window - 1) + difference[..., 1]


def shift_mask(side: int, window: int, shift: int) -> torch.Tensor:
    """-100 between two places that only the shift brought into one window."""
    edges = torch.tensor([side - window, side - shift])
    part = torch.bucketize(torch.arange(side), edges, right=True)
    parts = to_windows((part[:, None] * 3 + part[None]).view(1, side, side, 1), window)
    return torch.where(parts == parts.transpose(1, 2), 0.0, -100.0).unsqueeze(1)


def randomize(model: nn.Module) -> None:
    """Weights that keep the scale of what they multiply, and norms that are not the identity."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)


def build(
    *, side: int = 56, width: int = 96, heads: int = 3, window: int = 7
) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The blocks with random weights, and an input; `side` is a multiple of `window`."""
    torch.manual_seed(0)
    model = nn.Sequential(*(Block(side, width, heads, window, shift) for shift in (0, window // 2)))
    randomize(model)
    return model.eval(), (torch.randn(1, side, side, width),)
