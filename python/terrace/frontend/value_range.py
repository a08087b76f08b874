"""The least and the greatest element that an integer tensor can have, as far as the ops that make it tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import statically_known_true

from terrace.frontend.own_operators import arg_scan, argsort, topk

aten = torch.ops.aten

Bound = int | torch.SymInt
"""An int, or a SymInt: where a size is dynamic, so is what it bounds."""

Range = tuple[Bound, Bound]
"""The least and the greatest, both possible."""

OF_TYPE: dict[torch.dtype, Range] = {torch.bool: (0, 1), torch.uint8: (0, 255)}


def value_range(node: torch.fx.Node) -> Range | None:
    """The range of an integer tensor; None if nothing is known of it."""
    value = node.meta.get("val")
    if isinstance(value, torch.Tensor) and value.dtype in OF_TYPE:
        return OF_TYPE[value.dtype]
    rule = RULES.get(node.target)
    return rule(node) if rule is not None else None


def of_first(node: torch.fx.Node) -> Range | None:
    """Of an op that gives elements of its first input and no others."""
    value = node.args[0]
    if not isinstance(value, torch.fx.Node) or is_float(value):
        return None
    return value_range(value)


def is_float(node: torch.fx.Node) -> bool:
    value = node.meta.get("val")
    return not isinstance(value, torch.Tensor) or value.is_floating_point() or value.is_complex()


def of_cast(node: torch.fx.Node) -> Range | None:
    """A cast to 64 bits changes no integer; one to fewer may."""
    return of_first(node) if node.meta["val"].dtype == torch.int64 else None


def of_arange(node: torch.fx.Node) -> Range | None:
    numbers: list[Any] = [
        argument.meta["val"] if isinstance(argument, torch.fx.Node) else argument for argument in node.args
    ]
    if any(isinstance(number, (float, torch.SymFloat)) for number in numbers):
        return None
    start, end = (0, numbers[0]) if len(numbers) == 1 else numbers[:2]
    step = numbers[2] if len(numbers) > 2 else 1
    return (start, end - 1) if isinstance(step, int) and step > 0 else None


def of_position(node: torch.fx.Node) -> Range | None:
    """Of the places that an op gives in its first input: along a dimension, or in all of it."""
    value = node.args[0].meta["val"]  # type: ignore[union-attr]
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    if isinstance(dim, int):
        return (0, value.shape[dim] - 1) if value.ndim else (0, 0)
    return 0, value.numel() - 1


def of_remainder(node: torch.fx.Node) -> Range | None:
    divisor = node.args[1]
    number = divisor.meta.get("val") if isinstance(divisor, torch.fx.Node) else divisor
    if is_float(node) or not isinstance(number, (int, torch.SymInt)):
        return None
    # PyTorch takes a size for 2 or more: of remainders by a size of 0 there are none.
    return (0, number - 1) if statically_known_true(number > 0) else None


def of_full(node: torch.fx.Node) -> Range | None:
    number = node.args[1]
    return (number, number) if isinstance(number, int) else None


def of_clamp(node: torch.fx.Node) -> Range | None:
    low, high = (*node.args[1:], None, None)[:2]
    return (low, high) if isinstance(low, int) and isinstance(high, int) and low <= high else None


SAME_ELEMENTS = (
    aten.alias.default,
    aten.clone.default,
    aten.expand.default,
    aten.permute.default,
    aten.reshape.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.transpose.int,
    aten.unsqueeze.default,
    aten.view.default,
    torch.ops.prims.squeeze.default,
)

RULES: dict[Any, Callable[[torch.fx.Node], Range | None]] = {
    **dict.fromkeys(SAME_ELEMENTS, of_first),
    aten._to_copy.default: of_cast,
    aten.arange.default: of_arange,
    aten.arange.start: of_arange,
    aten.arange.start_step: of_arange,
    aten.argmax.default: of_position,
    aten.argmin.default: of_position,
    aten.clamp.default: of_clamp,
    aten.full.default: of_full,
    aten.remainder.Scalar: of_remainder,
    torch.ops.prims.convert_element_type.default: of_cast,
    argsort: of_position,
    arg_scan: of_position,
    topk: of_position,
}
