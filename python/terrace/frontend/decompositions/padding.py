"""Padding by elements of the tensor itself: reflected, repeated or of the other end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._decomp import decomposition_table

from terrace.frontend.own_operators import border_pad

aten = torch.ops.aten


def bordered(value: torch.Tensor, amounts: Sequence[int], mode: str) -> torch.Tensor | None:
    """`value` with pairs of amounts from the last axis on; None for those that cut or are not known, and of nothing."""
    is_border = all(isinstance(amount, int) and amount >= 0 for amount in amounts)
    if not is_border or any(isinstance(size, int) and size == 0 for size in value.shape):
        return None
    kept = [0] * (value.ndim - len(amounts) // 2)
    low, high = ([*kept, *amounts[side::2][::-1]] for side in (0, 1))
    return border_pad(value, low, high, mode)


def padded_by(mode: str, usual: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The decomposition of a padding mode; the `usual` one where ours has no border for it."""

    def decompose(value: torch.Tensor, amounts: Sequence[int]) -> torch.Tensor:
        found = bordered(value, amounts, mode)
        return usual(value, amounts) if found is None else found

    return decompose


def wrapped(value: torch.Tensor, amounts: Sequence[int]) -> torch.Tensor:
    """What is left of `value` by negative amounts, between copies of its ends."""
    for place, (before, after) in enumerate(zip(amounts[::2], amounts[1::2], strict=True)):
        axis = value.ndim - 1 - place
        left = aten.slice.Tensor(value, axis, max(-before, 0), value.shape[axis] - max(-after, 0))
        size = left.shape[axis]
        low = aten.slice.Tensor(left, axis, size - max(before, 0), size)
        value = torch.cat([low, left, aten.slice.Tensor(left, axis, 0, max(after, 0))], axis)
    return value


_PADS = {
    "reflect": (aten.reflection_pad1d, aten.reflection_pad2d, aten.reflection_pad3d),
    "replicate": (aten.replication_pad1d, aten.replication_pad2d, aten.replication_pad3d),
}

DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    **{op.default: padded_by(mode, decomposition_table[op.default]) for mode, ops in _PADS.items() for op in ops},
    aten._pad_circular.default: padded_by("circular", wrapped),
}
