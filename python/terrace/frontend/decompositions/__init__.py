"""Decompositions that PyTorch and torch-mlir lack, or of which torch-mlir's own lowering is wrong.

A decomposition that returns NotImplemented leaves the op as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from terrace.frontend.decompositions import (
    convolution,
    determinants,
    elementwise,
    experts,
    float8,
    grid,
    indexing,
    interpolation,
    losses,
    norms,
    ordering,
    padding,
    pooling,
    pooling_3d,
    products,
    recurrent,
    reducing,
    resizing,
    shapes,
)


def _unless_complex(rule: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(rule)
    def checked(*arguments: Any, **options: Any) -> Any:
        values = [*arguments, *options.values()]
        is_complex = any(isinstance(value, torch.Tensor) and value.is_complex() for value in values)
        return NotImplemented if is_complex else rule(*arguments, **options)

    return checked


ARITHMETIC = (determinants, elementwise, experts, float8, losses, norms, ordering, products, recurrent, reducing)
"""What computes with the elements, by another rule where they are complex: those leave the op as it is."""

MOVES = (convolution, grid, indexing, interpolation, padding, pooling, pooling_3d, resizing, shapes)

DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    **{op: _unless_complex(rule) for family in ARITHMETIC for op, rule in family.DECOMPOSITIONS.items()},
    **{op: rule for family in MOVES for op, rule in family.DECOMPOSITIONS.items()},
}
