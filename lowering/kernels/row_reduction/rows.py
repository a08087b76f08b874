"""Rows of a kernel that reduces them, and passes over them: lines along the last dimension."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.base import element_type_of, shape_of
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.graph.payload_types import combine, neutral
from terrace.lowering.kernels.builder import LINE, PAGE, Index, LoopBuilder, Span
from terrace.lowering.kernels.row_reduction.lines import Element, Lines, Step
from terrace.lowering.kernels.summation import sum_in_blocks
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import ir


class Rows(Lines):
    """Some rows side by side; a statistic is a tile with a row of each.

    With several rows, what one waits for at its end, the next ones fill.
    """

    def __init__(self, b: LoopBuilder, kernel: KernelView, rows: Span) -> None:
        super().__init__(b, kernel)
        self.first, self.count, self.valid = rows
        self.statistic = (self.count, 1)
        self.size = b.size(kernel.results_memory[0], 1)
        self.tile, self.block = kernel.schedule.tile("n"), kernel.schedule.block("n")
        if self.block % self.tile:
            raise kernel.refuse(f"block size of 'n' must be a multiple of its tile size, {self.tile}")

    @property
    def corrects_mean(self) -> bool:
        """Where sums are made in blocks."""
        return self.block != 0 and not (isinstance(self.size, int) and self.size <= self.block)

    def place(self, column: Index, size: int, valid: Index | None) -> TilePlace:
        return TilePlace((self.first, column), (0, 1), (self.count, size), (self.valid, valid))

    def fold_all(self, kind: str, steps: Sequence[Step], type_: ir.Type | None = None) -> list[ir.Value]:
        type_ = type_ or self.element_type
        b, tile = self.b, self.tile
        remainder = b.mod(self.size, tile)
        full = b.sub(self.size, remainder)
        results = [self.number(neutral(kind, type_), type_)] * len(steps)
        if not (isinstance(full, int) and full == 0):

            def body(column: Index, totals: list[ir.Value]) -> list[ir.Value]:
                place = self.place(column, tile, None)
                return [step(total, place) for total, step in zip(totals, steps, strict=True)]

            initial = [b.splat([self.count, tile], type_, neutral(kind, type_))] * len(steps)
            block = self.block if kind == "sum" else 0
            results = [b.reduce_tile(total, kind) for total in sum_in_blocks(b, full, tile, block, initial, body)]
        if isinstance(remainder, int) and remainder == 0:
            return results
        size, valid = (remainder, None) if isinstance(remainder, int) else (tile, remainder)
        nothing = b.splat([self.count, size], type_, neutral(kind, type_))
        place = self.place(full, size, valid)
        tails = [b.reduce_tile(step(nothing, place), kind, [self.valid, valid]) for step in steps]
        return [combine(kind, result, tail) for result, tail in zip(results, tails, strict=True)]

    def finish(self, element: Element) -> None:
        def body(column: Index, size: int, valid: Index | None) -> None:
            place = self.place(column, size, valid)
            store_results(self.b, self.kernel, {self.root.results[0]: element(place)}, place)

        self.b.tiles(0, 0, self.size, self.tile, body)

    def kept(self, element: Element) -> tuple[Element, Element]:
        """Elements are read again where the schedule says that terms of the result stay in local memory."""
        if not self.kernel.schedule.leaving:
            return super().kept(element)
        if not isinstance(self.size, int):
            raise self.kernel.refuse("can keep the terms of rows of a static length only")
        memory = self.b.alloc([self.count, self.size], self.element_type)

        def compute(place: TilePlace) -> ir.Value:
            self._ask_for_next(place)
            value = element(place)
            self.b.store(value, memory, [0, place.offsets[1]], [0, 1], valid=place.valid)
            return value

        def again(place: TilePlace) -> ir.Value:
            return self.b.load(memory, [0, place.offsets[1]], place.shape, [0, 1], valid=place.valid)

        return compute, again

    def _ask_for_next(self, place: TilePlace) -> None:
        """Ask for the input of the next rows at a place: else memory waits while these are computed with."""
        b, memory = self.b, self.kernel.memory_of(self.root.operands[0])
        element = ELEMENT_TYPES[str(element_type_of(memory))]
        if not isinstance(self.size, int) or self.size * element.bytes < PAGE:
            return
        last, column = b.sub(b.size(memory, 0), 1), place.offsets[1]
        for row in range(self.count):
            at = b.min(b.add(self.first, self.count + row), last)
            for first in range(0, place.shape[1], LINE // element.bytes):
                b.prefetch(memory, [at, b.add(column, first)])

    def repeat(self, number: ir.Value, like: ir.Value) -> ir.Value:
        return self.b.broadcast_tile(number, shape_of(like)[-1])
