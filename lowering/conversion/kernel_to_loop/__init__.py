"""The generators: one file per kernel family, from `kernel.func` to blocked loops around tile ops."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

GENERATORS = {
    "conv2d": "terrace.lowering.conversion.kernel_to_loop.conv2d",
    "copy": "terrace.lowering.conversion.kernel_to_loop.copy",
    "elementwise": "terrace.lowering.conversion.kernel_to_loop.elementwise",
    "matmul": "terrace.lowering.conversion.kernel_to_loop.matmul",
    "pool2d": "terrace.lowering.conversion.kernel_to_loop.pool2d",
    "reduce": "terrace.lowering.conversion.kernel_to_loop.reduce",
    "row_reduction": "terrace.lowering.conversion.kernel_to_loop.row_reduction",
}
"""Generator name to module; the module's `generate(builder, kernel)` emits the loops."""


def find_generator(name: str) -> Callable[[Any, Any], None]:
    """The `generate` function of a generator; KeyError for an unknown name."""
    generate: Callable[[Any, Any], None] = importlib.import_module(GENERATORS[name]).generate
    return generate
