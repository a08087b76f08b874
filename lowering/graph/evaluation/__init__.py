"""Evaluates constant expressions in numpy, when an artefact is written: `EVALUATION` has a rule for each op.

Numerics: floating point is computed in float64 and rounded once, to the declared type of the constant, so folding adds
no error of its own; a `graph.cast` to a narrower type is a rounding that the program asks for, and is kept. Integers
are exact and wrap in their type. Layout ops move elements without widening them, so that packing a weight costs one
copy of it.
"""

from __future__ import annotations

# Importing a family registers its rules.
from terrace.lowering.graph.evaluation import (
    contraction,
    elementwise,
    encodings,
    indexing,
    layout,
    normalization,
    ordering,
    pooling,
    quantized,
    reduction,
)
from terrace.lowering.graph.evaluation.constants import Constants
from terrace.lowering.graph.evaluation.rules import EVALUATION

__all__ = [
    "EVALUATION",
    "Constants",
    "contraction",
    "elementwise",
    "encodings",
    "indexing",
    "layout",
    "normalization",
    "ordering",
    "pooling",
    "quantized",
    "reduction",
]
