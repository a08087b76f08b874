"""A row of a kernel that reduces rows, and passes over it: what softmax and the norms are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrace.dialects.base import shape_of
from terrace.lowering.graph.payload_types import combine, neutral
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.summation import sum_in_blocks
from terrace.lowering.kernels.view import KernelView, TilePlace, load_operand, store_results
from terrace.mlir import arith, ir

Element = Callable[[ir.Value], ir.Value]
"""What of each element of the input is reduced, as a function on tiles."""

Step = Callable[[ir.Value, ir.Value], ir.Value]
"""A total and a tile of the input that joins it, as a function on tiles."""


class Row:
    """Row `row` of the kernel's input, and passes over it."""

    def __init__(self, b: LoopBuilder, kernel: KernelView, row: Index) -> None:
        self.b, self.kernel, self.row = b, kernel, row
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
        return TilePlace((self.row, column), (0, 1), (1, size), (None, valid))

    def load(self, operand: int, place: TilePlace) -> ir.Value:
        value = self.root.operands[operand]
        return load_operand(self.b, self.kernel.memory_of(value), shape_of(value), place)

    def number(self, value: float, type_: ir.Type | None = None) -> ir.Value:
        """A tile [1, 1] of the type that the kernel computes in, or of another."""
        return self.b.splat([1, 1], type_ or self.element_type, value)

    def fold(self, kind: str, element: Element, type_: ir.Type | None = None) -> ir.Value:
        """The row reduced by `kind`, as a tile [1, 1]; `type_` is that of `element`, the kernel's own unless given."""
        return self.fold_all(kind, [lambda total, x: combine(kind, total, element(x))], type_)[0]

    def fold_all(self, kind: str, steps: Sequence[Step], type_: ir.Type | None = None) -> list[ir.Value]:
        """As `fold`, several in one pass over the row. Sums are in blocks if the schedule says so."""
        type_ = type_ or self.element_type
        b, tile = self.b, self.tile
        remainder = b.mod(self.length, tile)
        full = b.sub(self.length, remainder)
        results = [self.number(neutral(kind, type_), type_)] * len(steps)
        if not (isinstance(full, int) and full == 0):

            def body(column: Index, totals: list[ir.Value]) -> list[ir.Value]:
                x = self.load(0, self.place(column, tile, None))
                return [step(total, x) for total, step in zip(totals, steps, strict=True)]

            initial = [b.splat([1, tile], type_, neutral(kind, type_))] * len(steps)
            block = self.block if kind == "sum" else 0
            results = [b.reduce_tile(total, kind) for total in sum_in_blocks(b, full, tile, block, initial, body)]
        if isinstance(remainder, int) and remainder == 0:
            return results
        size, valid = (remainder, None) if isinstance(remainder, int) else (tile, remainder)
        x = self.load(0, self.place(full, size, valid))
        nothing = b.splat([1, size], type_, neutral(kind, type_))
        tails = [b.reduce_tile(step(nothing, x), kind, [None, valid]) for step in steps]
        return [combine(kind, result, tail) for result, tail in zip(results, tails, strict=True)]

    def finish(self, element: Callable[[ir.Value, TilePlace], ir.Value]) -> None:
        """Compute the result from each tile of the input, run the epilogue, and store it."""

        def body(column: Index, size: int, valid: Index | None) -> None:
            place = self.place(column, size, valid)
            tile = element(self.load(0, place), place)
            store_results(self.b, self.kernel, {self.root.results[0]: tile}, place)

        self.b.tiles(0, 0, self.length, self.tile, body)

    def repeat(self, number: ir.Value, like: ir.Value) -> ir.Value:
        return self.b.broadcast_tile(number, shape_of(like)[-1])

    def mean(self, total: ir.Value) -> ir.Value:
        """A sum over the row divided by the row's length."""
        if isinstance(self.length, int):
            return arith.mulf(total, self.number(1.0 / self.length))
        integer = ir.IntegerType.get_signless(64)
        count = arith.sitofp(self.element_type, arith.index_cast(integer, self.length))
        return arith.divf(total, self.b.spread([1, 1], count))
