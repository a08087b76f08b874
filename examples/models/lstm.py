"""A language model of two LSTM layers, 256 wide, on 16 token ids: the logits of the next token and the last state."""

from __future__ import annotations

import torch
from torch import nn

SMALL = {"width": 24, "vocabulary": 100, "length": 5}
"""Arguments of `build` for a quick test."""


class LanguageModel(nn.Module):
    """Token embedding, the LSTM, and logits. The LSTM is a loop over the positions."""

    def __init__(self, *, width: int, vocabulary: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, (hidden, cell) = self.lstm(self.tokens(ids))
        return self.head(x), hidden, cell


def build(*, width: int = 256, vocabulary: int = 5000, length: int = 16) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, and an input."""
    torch.manual_seed(0)
    model = LanguageModel(width=width, vocabulary=vocabulary)
    for parameter in model.lstm.parameters():
        nn.init.normal_(parameter, std=width**-0.5)
    return model.eval(), (torch.randint(0, vocabulary, (2, length)),)
