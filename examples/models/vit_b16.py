"""ViT-B/16 (12 layers, 768 wide, 12 heads) on one 224x224 colour image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

PATCH = 16

SMALL = {"image": 64, "layers": 2, "width": 96, "heads": 3}
"""Arguments of `build` for a quick test."""


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence with itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.input = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        parts = self.input(x).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        context = F.scaled_dot_product_attention(query, key, value)
        return self.output(context.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention and a feed-forward network, each of the normalised input and added to it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.attention = SelfAttention(width, heads)
        self.hidden_norm = nn.LayerNorm(width, eps=1e-6)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(F.gelu(self.up(self.hidden_norm(x))))


class VisionTransformer(nn.Module):
    """The image as a sequence of patches after a class token; the class token's final state is classified."""

    def __init__(self, *, image: int, layers: int, width: int, heads: int, classes: int = 1000) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 1 + (image // PATCH) ** 2, width) * 0.1)
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.class_token.expand(x.shape[0], -1, -1), x), dim=1) + self.positions
        return self.classifier(self.norm(self.layers(x))[:, 0])


def randomize(model: nn.Module) -> None:
    """Weights that keep the scale of what they multiply, and norms that are not the identity."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            nn.init.normal_(module.bias, std=0.02)
        elif isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)


def build(
    *, image: int = 224, layers: int = 12, width: int = 768, heads: int = 12
) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, and an input; `image` is a multiple of 16."""
    torch.manual_seed(0)
    model = VisionTransformer(image=image, layers=layers, width=width, heads=heads)
    randomize(model)
    return model.eval(), (torch.randn(1, 3, image, image),)
