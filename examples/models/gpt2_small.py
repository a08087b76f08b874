"""GPT-2 small (12 layers, 768 wide, 12 heads) on 64 token ids: the logits of the next token at each position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

SMALL = {"layers": 2, "width": 64, "heads": 4, "vocabulary": 200, "length": 16}
"""Arguments of `build` for a quick test."""


class CausalAttention(nn.Module):
    """Multi-head attention in which each position sees itself and the positions before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.input = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (self.split(part) for part in self.input(x).chunk(3, dim=-1))
        context = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(context.transpose(1, 2).flatten(2))

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, length, width] as [batch, heads, length, width of a head]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Layer(nn.Module):
    """Attention and a feed-forward network, each of the normalised input and added to it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads)
        self.hidden_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(F.gelu(self.up(self.hidden_norm(x)), approximate="tanh"))


class Gpt2(nn.Module):
    """Token and position embeddings, the layers, and logits by the token embedding's own weights."""

    def __init__(self, *, layers: int, width: int, heads: int, vocabulary: int, positions: int = 1024) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def randomize(model: nn.Module) -> None:
    """Weights that keep the scale of what they multiply, and norms that are not the identity."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.02)
        elif isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)


def build(
    *, layers: int = 12, width: int = 768, heads: int = 12, vocabulary: int = 50257, length: int = 64
) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, and an input."""
    torch.manual_seed(0)
    model = Gpt2(layers=layers, width=width, heads=heads, vocabulary=vocabulary)
    randomize(model)
    return model.eval(), (torch.randint(0, vocabulary, (1, length)),)
