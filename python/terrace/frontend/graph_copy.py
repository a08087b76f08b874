"""A copy of a graph whose nodes keep their names, by which a program's signature knows its inputs."""

from __future__ import annotations

import copy

import torch


def copy_of(module: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """A deep copy. PyTorch's gives nodes that are called like builtins of Python, such as `input`, other names."""
    made = copy.deepcopy(module)
    for own, node in zip(module.graph.nodes, made.graph.nodes, strict=True):
        node.name = own.name
    return made
