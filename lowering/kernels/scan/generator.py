"""The generator of `graph.scan`: what is so far at each element of lines, carried from one tile to the next.

Rows, lines along the last dimension, are taken a tile at a time, in which each element joins those before it; of rows
side by side none waits for another. Other lines are taken an element at a time, vectors across them.
"""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.base import attributes_of
from terrace.lowering.graph.payload_types import cast, compute_type, follow, neutral
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import ir


class _Scan:
    """One kernel's loops."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel, self.root = b, kernel, kernel.root
        self.kind = attributes_of(kernel.root).kind
        self.memory, self.type = kernel.memory_of(kernel.root.operands[0]), kernel.accumulator
        self.size = b.size(self.memory, 1)

    def nothing(self, shape: Sequence[int]) -> ir.Value:
        return self.b.splat(shape, self.type, neutral(self.kind, self.type))

    def load(self, place: TilePlace) -> ir.Value:
        return cast(self.b.load(self.memory, place.offsets, place.shape, place.axes, valid=place.valid), self.type)

    def store(self, found: ir.Value, place: TilePlace) -> None:
        element = ir.MemRefType(self.memory.type).element_type
        store_results(self.b, self.kernel, {self.root.results[0]: cast(found, compute_type(element))}, place)

    def rows(self, where: dict[str, Span]) -> None:
        """Along some rows, tile after tile."""
        b, (first, count, valid), tile = self.b, where["m"], self.kernel.schedule.tile("n")

        def step(column: Index, size: int, inside: Index | None, before: ir.Value) -> ir.Value:
            place = TilePlace((first, column), (0, 1), (count, size), (valid, inside))
            running, whole = b.scan_tile(self.load(place), self.kind)
            self.store(follow(self.kind, b.broadcast_tile(before, size), running), place)
            return follow(self.kind, before, whole)

        remainder = b.mod(self.size, tile)
        full, before = b.sub(self.size, remainder), self.nothing([count, 1])
        if not (isinstance(full, int) and full == 0):
            before = b.reduce(0, full, tile, before, lambda column, so_far: step(column, tile, None, so_far))
        if not isinstance(remainder, int):
            with b.when(b.less(0, remainder)):
                step(full, tile, remainder, before)
        elif remainder:
            step(full, remainder, None, before)

    def lines(self, where: dict[str, Span]) -> None:
        """Along some lines that are no rows, element after element."""
        (first, count, valid), (start, width, inside) = where["m"], where["l"]

        def step(at: Index, before: ir.Value) -> ir.Value:
            place = TilePlace((first, at, start), (0, 2), (count, width), (valid, inside))
            found = follow(self.kind, before, self.load(place))
            self.store(found, place)
            return found

        self.b.reduce(0, self.size, 1, self.nothing([count, width]), step)


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a scan kernel over [rows, columns], or [outer, line, inner]."""
    scan = _Scan(b, kernel)
    if "l" in kernel.space.names:
        kernel.check_schedule(tiled=("m", "l"), blocked=("m", "l"))
        nest(b, kernel, {"m": b.size(scan.memory, 0), "l": b.size(scan.memory, 2)}, lambda start: scan.lines)
        return
    kernel.check_schedule(tiled=("m", "n"), blocked=("m",))
    nest(b, kernel, {"m": b.size(scan.memory, 0)}, lambda start: scan.rows)
