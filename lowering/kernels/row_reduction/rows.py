"""Rows of a kernel that reduces them, and passes over them: what softmax and the norms are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrace.dialects.base import element_type_of, shape_of
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.graph.payload_types import combine, neutral
from terrace.lowering.kernels.builder import LINE, PAGE, Index, LoopBuilder, Span
from terrace.lowering.kernels.summation import sum_in_blocks
from terrace.lowering.kernels.view import KernelView, TilePlace, load_operand, store_results
from terrace.mlir import arith, ir

Element = Callable[[TilePlace], ir.Value]
"""What of each element is reduced or stored, as a function of where a tile of it stands."""

Step = Callable[[ir.Value, TilePlace], ir.Value]
"""A total and what joins it of the elements at a place, as a function on tiles."""


class Rows:
    """Some rows of the kernel's input, side by side, and passes over them; a statistic is a tile with a row of each.

    With several rows, what one waits for at its end, the next ones fill.
    """

    def __init__(self, b: LoopBuilder, kernel: KernelView, rows: Span) -> None:
        self.b, self.kernel = b, kernel
        self.first, self.count, self.valid = rows
        self.root = kernel.root
        self.element_type = kernel.accumulator
        self.length = b.size(kernel.results_memory[0], 1)
        self.tile, self.block = kernel.schedule.tile("n"), kernel.schedule.block("n")
        if self.block % self.tile:
            raise kernel.refuse(f"block size of 'n' must be a multiple of its tile size, {self.tile}")

    @property
    def is_long(self) -> bool:
        """Whether its sums are made in blocks."""
        return self.block != 0 and not (isinstance(self.length, int) and self.length <= self.block)

    def place(self, column: Index, size: int, valid: Index | None) -> TilePlace:
        return TilePlace((self.first, column), (0, 1), (self.count, size), (self.valid, valid))

    def input(self, place: TilePlace) -> ir.Value:
        return self.load(0, place)

    def load(self, operand: int, place: TilePlace) -> ir.Value:
        value = self.root.operands[operand]
        return load_operand(self.b, self.kernel.memory_of(value), shape_of(value), place)

    def number(self, value: float, type_: ir.Type | None = None) -> ir.Value:
        """A statistic that is the same for each row, of the type that the kernel computes in, or of another."""
        return self.b.splat([self.count, 1], type_ or self.element_type, value)

    def fold(self, kind: str, element: Element, type_: ir.Type | None = None) -> ir.Value:
        """Each row reduced by `kind`, as a tile [rows, 1]; `type_` is that of `element`, if not the kernel's own."""
        return self.fold_all(kind, [lambda total, place: combine(kind, total, element(place))], type_)[0]

    def fold_all(self, kind: str, steps: Sequence[Step], type_: ir.Type | None = None) -> list[ir.Value]:
        """As `fold`, several in one pass over the rows. Sums are in blocks if the schedule says so."""
        type_ = type_ or self.element_type
        b, tile = self.b, self.tile
        remainder = b.mod(self.length, tile)
        full = b.sub(self.length, remainder)
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
        """Compute the result at each place, run the epilogue, and store it."""

        def body(column: Index, size: int, valid: Index | None) -> None:
            place = self.place(column, size, valid)
            store_results(self.b, self.kernel, {self.root.results[0]: element(place)}, place)

        self.b.tiles(0, 0, self.length, self.tile, body)

    def kept(self, element: Element) -> tuple[Element, Element]:
        """What computes elements, and what gives them again in a later pass.

        The second one reads them, where the schedule says that terms of the result stay in local memory; else it
        computes them once more.
        """
        if not self.kernel.schedule.leaving:
            return element, element
        if not isinstance(self.length, int):
            raise self.kernel.refuse("can keep the terms of rows of a static length only")
        memory = self.b.alloc([self.count, self.length], self.element_type)

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
        if not isinstance(self.length, int) or self.length * element.bytes < PAGE:
            return
        last, column = b.sub(b.size(memory, 0), 1), place.offsets[1]
        for row in range(self.count):
            at = b.min(b.add(self.first, self.count + row), last)
            for first in range(0, place.shape[1], LINE // element.bytes):
                b.prefetch(memory, [at, b.add(column, first)])

    def repeat(self, number: ir.Value, like: ir.Value) -> ir.Value:
        return self.b.broadcast_tile(number, shape_of(like)[-1])

    def mean(self, total: ir.Value) -> ir.Value:
        """Sums over the rows divided by their length."""
        if isinstance(self.length, int):
            return arith.mulf(total, self.number(1.0 / self.length))
        integer = ir.IntegerType.get_signless(64)
        count = arith.sitofp(self.element_type, arith.index_cast(integer, self.length))
        return arith.divf(total, self.b.spread([self.count, 1], count))
