"""Decompositions that PyTorch and torch-mlir lack, or of which torch-mlir's own lowering is wrong.

A decomposition that returns NotImplemented leaves the op as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from terrace.frontend.decompositions import (
    elementwise,
    indexing,
    losses,
    ordering,
    pooling,
    products,
    reducing,
    resizing,
    shapes,
)

DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    **elementwise.DECOMPOSITIONS,
    **indexing.DECOMPOSITIONS,
    **losses.DECOMPOSITIONS,
    **ordering.DECOMPOSITIONS,
    **pooling.DECOMPOSITIONS,
    **products.DECOMPOSITIONS,
    **reducing.DECOMPOSITIONS,
    **resizing.DECOMPOSITIONS,
    **shapes.DECOMPOSITIONS,
}
