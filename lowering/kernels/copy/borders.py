"""Borders of elements of the input itself: `graph.border_pad`.

Row by row of the result: where its row comes from is computed once, its middle is moved as it stands, and only the few
elements beside the middle are looked up one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

from terrace.dialects.base import attributes_of
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.nest import over_tiles
from terrace.lowering.kernels.view import KernelView


def source_place(b: LoopBuilder, mode: str, place: Index, low: int, size: Index) -> Index:
    """Where the element at a place along an axis of the result stands in the input, which has `size` there."""
    if mode == "circular":
        return b.mod(b.add(place, b.sub(size, low)), size)
    beside = b.sub(place, low)
    if mode == "replicate":
        return b.min(b.max(beside, 0), b.sub(size, 1))
    distance = b.max(beside, b.sub(low, place))
    return b.min(distance, b.sub(b.mul(b.sub(size, 1), 2), distance)) if size != 1 else 0


def pad_rows(b: LoopBuilder, kernel: KernelView, start: Mapping[str, Index]) -> None:
    """Emit the loops of a workgroup's block, which begins at `start`."""
    *outer, last = kernel.space.names
    attrs, rank = attributes_of(kernel.root), len(kernel.space.names)
    source, result = kernel.memory_of(kernel.root.operands[0]), kernel.results_memory[0]
    inner = [b.size(source, axis) for axis in range(rank)]
    low, high = attrs.low[-1], attrs.high[-1]

    def row(spans: dict[str, Span]) -> None:
        places = [spans[name][0] for name in outer]
        origin = [
            source_place(b, attrs.mode, place, attrs.low[axis], inner[axis])
            if attrs.low[axis] or attrs.high[axis]
            else place
            for axis, place in enumerate(places)
        ]

        def move(to: Index, of: Index, count: int, valid: Index | None) -> None:
            shape, axes, inside = (1,) * (rank - 1) + (count,), range(rank), (None,) * (rank - 1) + (valid,)
            tile = b.load(source, [*origin, of], shape, axes, valid=inside, as_stored=True)
            b.store(tile, result, [*places, to], axes, valid=inside)

        def middle(first: Index, count: int, valid: Index | None) -> None:
            move(b.add(low, first), first, count, valid)

        b.tiles(start.get(last, 0), kernel.schedule.block(last), inner[-1], kernel.schedule.tile(last), middle)
        for first, count in ((0, low), (b.add(low, inner[-1]), high)):
            if count:
                with b.for_each(0, count) as number:
                    place = b.add(first, number)
                    move(place, source_place(b, attrs.mode, place, low, inner[-1]), 1, None)

    over_tiles(b, kernel, {name: b.size(result, axis) for axis, name in enumerate(outer)}, start, row)
