"""How each torch op becomes graph ops, one file per family of ops; `BUILDERS` maps op names to builders."""

from __future__ import annotations

# Importing a family registers its builders.
from terrace.lowering.conversion.torch_to_graph import (
    contraction,
    division,
    elementwise,
    encoded,
    fourier,
    indexing,
    layout,
    normalization,
    ordering,
    random,
)
from terrace.lowering.conversion.torch_to_graph import reductions_and_pools as reduction
from terrace.lowering.conversion.torch_to_graph.torch_op import BUILDERS, TorchOp, TypeTable

__all__ = [
    "BUILDERS",
    "TorchOp",
    "TypeTable",
    "contraction",
    "division",
    "elementwise",
    "encoded",
    "fourier",
    "indexing",
    "layout",
    "normalization",
    "ordering",
    "random",
    "reduction",
]
