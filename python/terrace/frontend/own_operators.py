"""Ops that PyTorch lacks and our decompositions are made of; graph ops follow from them.

They have one result, where PyTorch's have two, and live only between decomposition and import.
"""

from __future__ import annotations

import torch

_LIBRARY = torch.library.Library("terrace", "DEF")
_LIBRARY.define("argsort(Tensor self, int dim, bool descending) -> Tensor")
_LIBRARY.define("arg_scan(Tensor self, int dim, str kind) -> Tensor")


def _places(value: torch.Tensor, dim: int, how: object) -> torch.Tensor:
    return torch.empty(value.shape, dtype=torch.int64, device=value.device)


for _name in ("argsort", "arg_scan"):
    _LIBRARY.impl(_name, _places, "Meta")

argsort = torch.ops.terrace.argsort.default
"""`graph.argsort`."""

arg_scan = torch.ops.terrace.arg_scan.default
"""`graph.arg_scan`."""
