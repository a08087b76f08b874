"""Lines along a dimension before the last one: the vectors run across them, and meet nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.lowering.graph.payload_types import neutral
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.row_reduction.lines import Element, Lines, Step
from terrace.lowering.kernels.summation import sum_in_blocks
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import ir


class Columns(Lines):
    """Lines along dimension 1 of three: a tile of them across dimensions 0 and 2. A statistic has a number of each.

    Where the schedule says that a copy of the input is in local memory, the first pass makes it: lines are far apart in
    memory, and caches may not hold them from one pass to the next. Terms that stay there take the copy's place.
    """

    def __init__(self, b: LoopBuilder, kernel: KernelView, outer: Span, across: Span, block: int) -> None:
        super().__init__(b, kernel)
        self.first, self.count, self.valid = outer
        self.start, self.width, self.valid_width = across
        self.statistic = (self.count, self.width)
        self.size = self.length = b.size(kernel.results_memory[0], 1)
        self.block = block
        self.copy: ir.Value | None = None
        self.is_copied = False
        if kernel.schedule.staged or kernel.schedule.leaving:
            if not isinstance(self.length, int):
                raise kernel.refuse("can keep lines of a static length only")
            self.copy = b.alloc([self.length, *self.statistic], self.element_type)

    def place(self, at: Index) -> TilePlace:
        return TilePlace((self.first, at, self.start), (0, 2), self.statistic, (self.valid, self.valid_width))

    def close(self, total: ir.Value, kind: str) -> ir.Value:
        """The statistic that the total of each line gives."""
        return total

    def fold_all(self, kind: str, steps: Sequence[Step], type_: ir.Type | None = None) -> list[ir.Value]:
        def body(at: Index, totals: list[ir.Value]) -> list[ir.Value]:
            place = self.place(at)
            return [step(total, place) for total, step in zip(totals, steps, strict=True)]

        nothing = self.number(neutral(kind, type_ or self.element_type), type_)
        block = self.block if kind == "sum" else 0
        totals = sum_in_blocks(self.b, self.length, 1, block, [nothing] * len(steps), body)
        self.is_copied = bool(self.kernel.schedule.staged)
        return [self.close(total, kind) for total in totals]

    def finish(self, element: Element) -> None:
        with self.b.for_each(0, self.length) as at:
            place = self.place(at)
            store_results(self.b, self.kernel, {self.root.results[0]: element(place)}, place)

    def input(self, place: TilePlace) -> ir.Value:
        if self.is_copied:
            return self._read(place)
        value = super().input(place)
        if self.kernel.schedule.staged:
            self._write(value, place)
        return value

    def kept(self, element: Element) -> tuple[Element, Element]:
        if not self.kernel.schedule.leaving:
            return super().kept(element)

        def compute(place: TilePlace) -> ir.Value:
            value = element(place)
            self._write(value, place)
            return value

        return compute, self._read

    def _write(self, value: ir.Value, place: TilePlace) -> None:
        assert self.copy is not None
        self.b.store(value, self.copy, [place.offsets[1], 0, 0], [1, 2], valid=place.valid)

    def _read(self, place: TilePlace) -> ir.Value:
        assert self.copy is not None
        return self.b.load(self.copy, [place.offsets[1], 0, 0], place.shape, [1, 2], valid=place.valid)

    def repeat(self, number: ir.Value, like: ir.Value) -> ir.Value:
        return number
