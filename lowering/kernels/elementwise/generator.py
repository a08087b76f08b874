"""The generator of elementwise groups: broadcasting, any rank, any number of results of one shape.

The last dimension runs along the vector; the outer ones are loops. Blocks of the schedule's parallel dimensions are
spread over workgroups.
"""

from __future__ import annotations

from typing import TypeAlias

from terrace.dialects.base import shape_of
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results, workgroups

Span: TypeAlias = tuple[Index, int, Index | None]


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of an elementwise kernel."""
    schedule, names = kernel.schedule, kernel.space.names
    result = kernel.results_memory[0]
    if len(shape_of(result)) != len(names):
        raise kernel.refuse("the iteration space must be the result's shape")
    if not names:
        raise kernel.refuse("needs at least one dimension")
    kernel.check_schedule(tiled=names, blocked=names)
    sizes = {name: b.size(result, axis) for axis, name in enumerate(names)}
    order = [d for d in schedule.order if d in names] + [d for d in names if d not in schedule.order]
    spans: dict[str, Span] = {}

    with workgroups(b, kernel, sizes) as start:

        def loops(remaining: list[str]) -> None:
            if not remaining:
                offsets, shape, valid = zip(*(spans[name] for name in names), strict=True)
                axes = tuple(range(len(names)))
                store_results(b, kernel, {}, TilePlace(offsets, axes, shape, valid))
                return
            dim = remaining[0]

            def body(offset: Index, size: int, valid: Index | None) -> None:
                spans[dim] = (offset, size, valid)
                loops(remaining[1:])

            b.tiles(start.get(dim, 0), schedule.block(dim), sizes[dim], schedule.tile(dim), body)

        loops(order)
