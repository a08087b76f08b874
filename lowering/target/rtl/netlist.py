"""What a kernel is made of, counted in its module: bits of registers and adders, multiplexers, products, memories.

Only bits that something reads count, as synthesis removes the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from terrace.circt import Cell

_WIRES = ("comb.concat", "comb.extract", "comb.replicate")

MEMORY, TABLE = "seq.hlmem", "sv.reg"
"""Memory that is written, and that is not."""

PRODUCT = "sv.verbatim.expr"
"""A product of numbers with a sign."""


def _ones(count: int) -> int:
    return (1 << count) - 1


class Netlist:
    """The cells of a module, and which bits of each are read."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.live = [0] * len(cells)
        self.readers: list[list[int]] = [[] for _ in cells]
        for place, cell in enumerate(cells):
            for read in cell.reads:
                self.readers[read].append(place)
        self._pending = [place for place, cell in enumerate(cells) if not cell.width]
        while self._pending:
            self._visit(self._pending.pop())

    def width(self, place: int) -> int:
        """The bits of a cell that are read."""
        return self.live[place].bit_count()

    @property
    def memories(self) -> list[int]:
        """The places of the memories."""
        return [place for place, cell in enumerate(self.cells) if cell.op in (MEMORY, TABLE)]

    def operands(self, place: int) -> list[int]:
        """The bits of the operands of a cell, the shortest first."""
        return sorted(self.cells[read].width for read in self.cells[place].reads)

    def is_constant(self, place: int) -> bool:
        return self.cells[place].op == "hw.constant"

    def own_bits(self, place: int) -> int:
        """The bits of a cell but for constant ones beside others."""
        cell = self.cells[place]
        if cell.op == "comb.concat":
            return sum(map(self.own_bits, cell.reads))
        return 0 if self.is_constant(place) else cell.width

    def unextended(self, place: int) -> int:
        """The cell that another one is with copies of its sign before it."""
        cell = self.cells[place]
        while cell.op == "comb.concat" and len(cell.reads) == 2 and self.cells[cell.reads[0]].op in _WIRES:
            place = cell.reads[1]
            cell = self.cells[place]
        return place

    def sinks(self, place: int) -> set[int]:
        """The cells that read another one, through wires or not."""
        found, pending, seen = set[int](), [place], {place}
        while pending:
            for reader in self.readers[pending.pop()]:
                if self.cells[reader].op not in _WIRES:
                    found.add(reader)
                elif reader not in seen:
                    seen.add(reader)
                    pending.append(reader)
        return found

    def of(self, *names: str) -> list[int]:
        """The places of the cells of these kinds that are read at all."""
        return [p for p, cell in enumerate(self.cells) if cell.op in names and (self.live[p] or not cell.width)]

    def _want(self, place: int, mask: int) -> None:
        mask &= _ones(self.cells[place].width)
        if mask & ~self.live[place]:
            self.live[place] |= mask
            self._pending.append(place)

    def _visit(self, place: int) -> None:
        """Note which bits of its operands the bits of a cell need."""
        cell, mask = self.cells[place], self.live[place]
        if cell.op == "comb.extract":
            self._want(cell.reads[0], mask << cell.number)
            return
        wanted = [_ones(self.cells[read].width) for read in cell.reads]
        if cell.op == "comb.concat":
            low = cell.width
            for number, read in enumerate(cell.reads):
                low -= self.cells[read].width
                wanted[number] = mask >> low
        elif cell.op in ("comb.and", "comb.or", "comb.xor"):
            wanted = [mask] * len(cell.reads)
        elif cell.op == "comb.mux":
            wanted = [1, mask, mask]
        elif cell.op in ("comb.add", "comb.sub", PRODUCT):
            wanted = [_ones(mask.bit_length())] * len(cell.reads)
        elif cell.op == "seq.compreg":
            wanted[0] = mask
        for read, own in zip(cell.reads, wanted, strict=True):
            self._want(read, own)
