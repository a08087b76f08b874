"""The generators: one per kernel family, from `kernel.func` to blocked loops around tile ops."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

GENERATORS = {
    "conv2d": "terrace.lowering.kernels.conv2d.generator",
    "copy": "terrace.lowering.kernels.copy.generator",
    "elementwise": "terrace.lowering.kernels.elementwise.generator",
    "matmul": "terrace.lowering.kernels.matmul.generator",
    "pool2d": "terrace.lowering.kernels.pool2d.generator",
    "reduce": "terrace.lowering.kernels.reduce.generator",
    "row_reduction": "terrace.lowering.kernels.row_reduction.generator",
}
"""Generator name to module; the module's `generate(builder, kernel)` emits the loops."""


def find_generator(name: str) -> Callable[[Any, Any], None]:
    """The `generate` function of a generator; KeyError for an unknown name."""
    generate: Callable[[Any, Any], None] = importlib.import_module(GENERATORS[name]).generate
    return generate
