"""The generator of scans: what is so far at each element of lines, carried from one tile to the next.

Rows, lines along the last dimension, are taken a tile at a time, in which each element joins those before it. Other
lines are taken an element at a time, vectors across them.
"""

from __future__ import annotations

from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.scan.running import Places, Running, Values
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import ir


class _Scan:
    """One kernel's loops."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel = b, kernel
        self.running: Running = (Places if kernel.root.name == "graph.arg_scan" else Values)(b, kernel)
        self.size = b.size(self.running.memory, 1)

    def store(self, found: list[ir.Value], place: TilePlace) -> None:
        store_results(self.b, self.kernel, {self.kernel.root.results[0]: self.running.result(found)}, place)

    def rows(self, where: dict[str, Span]) -> None:
        """Along some rows, tile after tile."""
        b, (first, count, valid), tile = self.b, where["m"], self.kernel.schedule.tile("n")

        def step(column: Index, size: int, inside: Index | None, before: list[ir.Value]) -> list[ir.Value]:
            place = TilePlace((first, column), (0, 1), (count, size), (valid, inside))
            found, whole = self.running.along(place, before)
            self.store(found, place)
            return whole

        remainder = b.mod(self.size, tile)
        full, before = b.sub(self.size, remainder), self.running.nothing([count, 1])
        if not (isinstance(full, int) and full == 0):
            before = b.reduce_all(0, full, tile, before, lambda column, so_far: step(column, tile, None, so_far))
        if not isinstance(remainder, int):
            with b.when(b.less(0, remainder)):
                step(full, tile, remainder, before)
        elif remainder:
            step(full, remainder, None, before)

    def lines(self, where: dict[str, Span]) -> None:
        """Along some lines that are no rows, element after element."""
        (first, count, valid), (start, width, inside) = where["m"], where["l"]

        def step(at: Index, before: list[ir.Value]) -> list[ir.Value]:
            place = TilePlace((first, at, start), (0, 2), (count, width), (valid, inside))
            found = self.running.next(place, before)
            self.store(found, place)
            return found

        self.b.reduce_all(0, self.size, 1, self.running.nothing([count, width]), step)


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a scan kernel over [rows, columns], or [outer, line, inner]."""
    scan = _Scan(b, kernel)
    memory = scan.running.memory
    if "l" in kernel.space.names:
        kernel.check_schedule(tiled=("m", "l"), blocked=("m", "l"))
        nest(b, kernel, {"m": b.size(memory, 0), "l": b.size(memory, 2)}, lambda start: scan.lines)
        return
    kernel.check_schedule(tiled=("m", "n"), blocked=("m",))
    nest(b, kernel, {"m": b.size(memory, 0)}, lambda start: scan.rows)
