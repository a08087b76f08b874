"""A graph convolution network of two layers on 512 nodes, whose sparse adjacency is a list of edges.

The edges are an input, so one compiled model serves every graph of that many nodes and edges.
"""

from __future__ import annotations

import torch
from torch import nn

SMALL = {"nodes": 20, "edges": 60, "width": 16}
"""Arguments of `build` for a quick test."""


class GraphConvolution(nn.Module):
    """Each node takes the sum of what its neighbours and itself send, scaled by the roots of both degrees."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """`edges` is [2, count]: the node that each edge leaves, and the one it reaches."""
        source, target = edges[0], edges[1]
        ones = torch.ones_like(target, dtype=x.dtype)
        degree = x.new_ones(x.shape[0]).index_add(0, target, ones)
        scale = degree.rsqrt().unsqueeze(1)
        sent = self.linear(x) * scale
        received = sent.index_add(0, target, sent[source])
        return received * scale + self.bias


class GraphNetwork(nn.Module):
    """Two graph convolutions and a score for each class of each node."""

    def __init__(self, width: int, classes: int = 7) -> None:
        super().__init__()
        self.first = GraphConvolution(width, width)
        self.second = GraphConvolution(width, classes)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x, edges)), edges).log_softmax(-1)


def build(*, nodes: int = 512, edges: int = 2048, width: int = 128) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The model with random weights, features of all nodes, and random edges."""
    torch.manual_seed(0)
    model = GraphNetwork(width)
    return model.eval(), (torch.randn(nodes, width), torch.randint(0, nodes, (2, edges)))
