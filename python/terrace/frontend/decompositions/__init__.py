"""Decompositions that PyTorch and torch-mlir lack, or of which torch-mlir's own lowering is wrong.

A decomposition that returns NotImplemented leaves the op as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

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


def of_reals(rules: dict[Any, Callable[..., Any]]) -> dict[Any, Callable[..., Any]]:
    """Rules of arithmetic, which is another one for complex numbers: those leave the op as it is."""
    return {op: _unless_complex(rule) for op, rule in rules.items()}


def _unless_complex(rule: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(rule)
    def checked(*arguments: Any, **options: Any) -> Any:
        values = [*arguments, *options.values()]
        is_complex = any(isinstance(value, torch.Tensor) and value.is_complex() for value in values)
        return NotImplemented if is_complex else rule(*arguments, **options)

    return checked


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    **of_reals(elementwise.DECOMPOSITIONS | losses.DECOMPOSITIONS | ordering.DECOMPOSITIONS),
    **of_reals(products.DECOMPOSITIONS | reducing.DECOMPOSITIONS),
    **indexing.DECOMPOSITIONS,
    **pooling.DECOMPOSITIONS,
    **resizing.DECOMPOSITIONS,
    **shapes.DECOMPOSITIONS,
}
