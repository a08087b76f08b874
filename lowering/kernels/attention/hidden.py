"""What a mask hides: blocks of keys that no query of a tile sees are not read."""

from __future__ import annotations

import math as pymath
from collections.abc import Callable

from terrace.dialects.base import element_type_of, shape_of
from terrace.lowering.graph.payload_types import compare, compute_type
from terrace.lowering.kernels.attention.heads import Heads
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.view import KernelView, TilePlace, load_operand
from terrace.mlir import arith, ir


def masks_of(kernel: KernelView) -> list[ir.Value]:
    """The mask, if there is one."""
    return list(kernel.root.operands)[3:]


def load_mask(b: LoopBuilder, kernel: KernelView, heads: Heads, mask: ir.Value, rows: Span, keys: Span) -> ir.Value:
    """The mask of some queries, [queries, keys]."""
    (first, count, valid), (key, size, left) = rows, keys
    axis = len(heads.own)
    place = TilePlace((*heads.own, first, key), (axis, axis + 1), (count, size), (valid, left))
    return load_operand(b, kernel.memory_of(mask), shape_of(mask), place)


def unless_hidden(
    b: LoopBuilder,
    kernel: KernelView,
    heads: Heads,
    rows: Span,
    keys: tuple[Index, Index],
    lanes: int,
    carried: list[ir.Value],
    add_block: Callable[[Index, Index, list[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """What `add_block` makes of the values carried, where any of the queries sees any of the keys; else these."""
    seen = b.if_else(any_visible(b, kernel, heads, rows, keys, lanes), carried)
    with ir.InsertionPoint(seen.then_block):
        b.end_branch(add_block(*keys, carried))
    with ir.InsertionPoint(seen.else_block):
        b.end_branch(carried)
    return list(seen.results)


def any_visible(
    b: LoopBuilder, kernel: KernelView, heads: Heads, rows: Span, keys: tuple[Index, Index], lanes: int
) -> ir.Value:
    """Whether the mask lets any of the queries see any of the keys from the first to the second, as an i1."""
    (mask,), (start, end) = masks_of(kernel), keys
    # Of a mask that all queries share, one row says it.
    count = 1 if len(shape_of(mask)) < 2 or shape_of(mask)[-2] == 1 else rows[1]
    type_, shape = compute_type(element_type_of(kernel.root.results[0])), [count, lanes]
    hidden = b.splat(shape, type_, -pymath.inf)

    def largest(key: Index, most: ir.Value) -> ir.Value:
        left = b.min(b.sub(end, key), lanes)
        tile = load_mask(b, kernel, heads, mask, (rows[0], count, rows[2]), (key, lanes, left))
        # NaN hides nothing.
        return arith.maximumf(most, b.where_inside(tile, left, hidden))

    return b.any_tile(compare("ne", b.reduce(start, end, lanes, hidden, largest), hidden))
