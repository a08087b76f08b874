"""The references, one file per family of ops, over the shared `builders`; `REFERENCES` holds one for each op."""

from __future__ import annotations

# Importing a family registers its references.
from terrace.lowering.conversion.graph_to_linalg import (
    contraction,
    convolution,
    elementwise,
    encodings,
    fourier,
    indexing,
    integer_rows,
    layout,
    normalization,
    ordering,
    pooling,
    random,
    reduction,
)
from terrace.lowering.conversion.graph_to_linalg.reference import REFERENCES, reference_of

__all__ = [
    "REFERENCES",
    "contraction",
    "convolution",
    "elementwise",
    "encodings",
    "fourier",
    "indexing",
    "integer_rows",
    "layout",
    "normalization",
    "ordering",
    "pooling",
    "random",
    "reduction",
    "reference_of",
]
