"""Groups of channels of an image as lines, and passes over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.dialects.base import element_type_of, shape_of
from terrace.lowering.graph.payload_types import combine, neutral
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.row_reduction.columns import Columns
from terrace.lowering.kernels.row_reduction.lines import Element, Lines, Step
from terrace.lowering.kernels.summation import sum_in_blocks
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import ir


@dataclasses.dataclass(frozen=True)
class Range:
    """What a group has of a dimension: so many from `start` on; `block` of them are added up at a time, all for 0."""

    name: str
    start: Index
    count: Index
    block: int

    @property
    def is_long(self) -> bool:
        return self.block != 0 and not (isinstance(self.count, int) and self.count <= self.block)


class OneGroup(Lines):
    """One group of an image: a range of dimension 1, and for each of it one of dimension 2, along which vectors run."""

    statistic = (1, 1)

    def __init__(self, b: LoopBuilder, kernel: KernelView, image: Index, outer: Range, inner: Range) -> None:
        super().__init__(b, kernel)
        self.image, self.outer, self.inner = image, outer, inner
        self.size = b.mul(outer.count, inner.count)
        self.tile = kernel.schedule.tile(inner.name)

    def place(self, outer: Index, inner: Index, size: int, valid: Index | None) -> TilePlace:
        offsets = (self.image, self.b.add(outer, self.outer.start), self.b.add(inner, self.inner.start))
        return TilePlace(offsets, (1, 2), (1, size), (None, valid))

    def load(self, operand: int, place: TilePlace) -> ir.Value:
        """Scale and shift have a number of each channel, which may be dimension 1."""
        if operand == 0 or self.inner.name == "c":
            return super().load(operand, place)
        memory = self.kernel.memory_of(self.root.operands[operand])
        return self.b.load(memory, [place.offsets[1]], place.shape, [0, -1])

    def fold_all(self, kind: str, steps: Sequence[Step], type_: ir.Type | None = None) -> list[ir.Value]:
        b, tile, count = self.b, self.tile, self.inner.count
        remainder = b.mod(count, tile)
        full = b.sub(count, remainder)
        parts = []
        if not (isinstance(full, int) and full == 0):
            totals = self._over(kind, steps, type_, tile, None, full)
            parts.append([b.reduce_tile(total, kind) for total in totals])
        if not (isinstance(remainder, int) and remainder == 0):
            size, valid = (remainder, None) if isinstance(remainder, int) else (tile, remainder)
            totals = self._over(kind, steps, type_, size, valid, full)
            parts.append([b.reduce_tile(total, kind, [None, valid]) for total in totals])
        first, *rest = parts
        return [combine(kind, a, c) for a, c in zip(first, *rest, strict=True)] if rest else first

    def _over(
        self, kind: str, steps: Sequence[Step], type_: ir.Type | None, size: int, valid: Index | None, full: Index
    ) -> list[ir.Value]:
        """Over the outer range, the full tiles of the inner one up to `full`; or what is behind these, of this size."""
        b, type_ = self.b, type_ or self.element_type
        nothing = [b.splat([1, size], type_, neutral(kind, type_))] * len(steps)
        is_tail = size != self.tile or valid is not None

        def at(outer: Index, inner: Index, totals: list[ir.Value]) -> list[ir.Value]:
            place = self.place(outer, inner, size, valid)
            return [step(total, place) for total, step in zip(totals, steps, strict=True)]

        def line(outer: Index, totals: list[ir.Value]) -> list[ir.Value]:
            if is_tail:
                return at(outer, full, totals)
            if kind != "sum" or not self.inner.is_long:
                return b.reduce_all(0, full, size, totals, lambda inner, carried: at(outer, inner, carried))
            block = self.inner.block
            sums = sum_in_blocks(b, full, size, block, nothing, lambda inner, carried: at(outer, inner, carried))
            return [combine(kind, total, part) for total, part in zip(totals, sums, strict=True)]

        return sum_in_blocks(b, self.outer.count, 1, self.outer.block if kind == "sum" else 0, nothing, line)

    def finish(self, element: Element) -> None:
        with self.b.for_each(0, self.outer.count) as outer:

            def body(inner: Index, size: int, valid: Index | None) -> None:
                place = self.place(outer, inner, size, valid)
                store_results(self.b, self.kernel, {self.root.results[0]: element(place)}, place)

            self.b.tiles(0, 0, self.inner.count, self.tile, body)

    def repeat(self, number: ir.Value, like: ir.Value) -> ir.Value:
        return self.b.broadcast_tile(number, shape_of(like)[-1])


class GroupsSideBySide(Columns):
    """The channels of some groups side by side: lines along pixels, whose totals meet within each group."""

    def __init__(self, b: LoopBuilder, kernel: KernelView, image: Index, first: Index, count: int) -> None:
        self.channels, self.count_of_groups = kernel.space.size("c"), count
        across = (b.mul(first, self.channels), count * self.channels, None)
        super().__init__(b, kernel, (image, 1, None), across, kernel.schedule.block("s"))
        self.size = b.mul(self.length, self.channels)

    def close(self, total: ir.Value, kind: str) -> ir.Value:
        """By way of memory, where the lanes of a vector become rows, and rows lanes."""
        if self.channels == 1:
            return total
        b, groups, strides = self.b, [self.count_of_groups, self.channels], [self.channels, 1]
        memory = b.alloc(self.statistic, element_type_of(total))
        b.store(total, memory, [0, 0], [0, 1])
        rows = b.reduce_tile(b.load(memory, [0, 0], groups, [1, 1], strides), kind)
        b.store(b.broadcast_tile(rows, self.channels), memory, [0, 0], [1, 1], strides)
        return b.load(memory, [0, 0], self.statistic, [0, 1])
