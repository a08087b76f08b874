"""A decoder in Llama's style on 64 token ids: RMSNorm, rotary positions, grouped-query attention, SwiGLU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

SMALL = {"layers": 2, "width": 64, "heads": 4, "groups": 2, "hidden": 96, "vocabulary": 200, "length": 16}
"""Arguments of `build` for a quick test."""


class Rotary(nn.Module):
    """Rotates pairs of a head's features by angles that grow with the position, without complex numbers."""

    def __init__(self, width: int, base: float = 10000.0) -> None:
        super().__init__()
        frequencies = base ** -(torch.arange(0, width, 2) / width)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)
        angles = torch.outer(positions, self.frequencies).repeat(1, 2)
        first, second = x.chunk(2, dim=-1)
        return x * angles.cos() + torch.cat((-second, first), dim=-1) * angles.sin()


class GroupedAttention(nn.Module):
    """Causal attention in which several query heads share one key and value head."""

    def __init__(self, width: int, heads: int, groups: int) -> None:
        super().__init__()
        self.head_width = width // heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, groups * self.head_width, bias=False)
        self.value = nn.Linear(width, groups * self.head_width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.rotary = Rotary(self.head_width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        context = F.scaled_dot_product_attention(
            self.rotary(query), self.rotary(key), value, is_causal=True, enable_gqa=True
        )
        return self.output(context.transpose(1, 2).flatten(2))

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, length, heads * width] as [batch, heads, length, width of a head]."""
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)


class Layer(nn.Module):
    """Attention and a gated feed-forward network, each of the normalised input and added to it."""

    def __init__(self, width: int, heads: int, groups: int, hidden: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=1e-5)
        self.attention = GroupedAttention(width, heads, groups)
        self.hidden_norm = nn.RMSNorm(width, eps=1e-5)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor, *places: Any) -> torch.Tensor:
        """What stands where is attention's to know, of one that keeps keys and values (examples/generate.py)."""
        x = x + self.attention(self.attention_norm(x), *places)
        y = self.hidden_norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Decoder(nn.Module):
    """Token embedding, the layers, and logits."""

    def __init__(self, *, layers: int, width: int, heads: int, groups: int, hidden: int, vocabulary: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(Layer(width, heads, groups, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def randomize(model: nn.Module) -> None:
    """Weights that keep the scale of what they multiply, and norms that are not the identity."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, nn.RMSNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)


def build(
    *,
    layers: int = 8,
    width: int = 512,
    heads: int = 8,
    groups: int = 2,
    hidden: int = 1376,
    vocabulary: int = 8000,
    length: int = 64,
) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, and an input."""
    torch.manual_seed(0)
    model = Decoder(layers=layers, width=width, heads=heads, groups=groups, hidden=hidden, vocabulary=vocabulary)
    randomize(model)
    return model.eval(), (torch.randint(0, vocabulary, (1, length)),)
