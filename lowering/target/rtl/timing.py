"""The clock that a design reaches, estimated: its longest path between two registers, through gates and usual wires.

The delays are those that circuits are scheduled with (`fabric.py`). What the scheduler cannot see is here: ports that
several accesses share, counters and control, and what lies between kernels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from terrace.lowering.target.rtl.fabric import SMALL_DEPTH, Fabric
from terrace.lowering.target.rtl.netlist import MEMORY, PRODUCT, TABLE, Netlist
from terrace.machine import BLOCK_MEMORY_BITS

if TYPE_CHECKING:
    from terrace.circt import Cell

LEVELS = {"comb.and": 0.5, "comb.or": 0.5, "comb.xor": 0.3, "comb.mux": 0.8}
"""The levels of lookup tables of a gate: those that follow each other share them."""

_INDEX, _READ_WIRE, _WIRE, _ASSIGN = "sv.array_index_inout", "sv.read_inout", "sv.wire", "sv.assign"
_RESULT, _INSTANCE, _OUTPUT, _INPUT = "result", "hw.instance", "hw.output", "input"


@dataclasses.dataclass(frozen=True)
class Path:
    """A path from one register or memory to another: nanoseconds with what both need, and the names on it."""

    delay: float
    names: tuple[str, ...]

    @property
    def clock_mhz(self) -> float:
        return 1e3 / self.delay

    def longer(self, delay: float) -> Path:
        """The same with wires that take so many nanoseconds more."""
        return dataclasses.replace(self, delay=self.delay + delay)

    def __str__(self) -> str:
        return f"{self.clock_mhz:.0f} MHz: {' -> '.join(self.names)}"


def joined(top: Sequence[Cell], kernels: Sequence[tuple[str, Sequence[Cell]]]) -> list[Cell]:
    """The cells of a module with those of its instances in their place; `kernels` are the name and the cells of each,
    in the order of the instances.
    """
    found = list(top)
    inside = iter(kernels)
    for place, cell in enumerate(top):
        if cell.op == _INSTANCE:
            _join(found, place, *next(inside))
    return found


def _join(found: list[Cell], place: int, name: str, cells: Sequence[Cell]) -> None:
    base, instance = len(found), found[place]
    given = dict(zip(instance.names, instance.reads, strict=True))
    for cell in cells:
        reads = (given[cell.names[0]],) if cell.op == _INPUT else tuple(base + read for read in cell.reads)
        op = _RESULT if cell.op == _INPUT else cell.op
        found.append(dataclasses.replace(cell, op=op, reads=reads, names=tuple(f"{name}.{own}" for own in cell.names)))
    results = dict(zip(cells[-1].names, found[-1].reads, strict=True))
    found[-1] = dataclasses.replace(found[-1], op=_INSTANCE)  # It ends no module any more.
    after = place + 1
    while after < len(found) and found[after].op == _RESULT and found[after].reads == (place,):
        found[after] = dataclasses.replace(found[after], reads=(results[found[after].names[0]],))
        after += 1


class _Paths:
    """Arrival times in a netlist."""

    def __init__(self, netlist: Netlist, fabric: Fabric) -> None:
        self.netlist, self.cells, self.fabric = netlist, netlist.cells, fabric
        self.assigned = {c.reads[0]: c.reads[1] for c in self.cells if c.op == _ASSIGN}
        self.arrivals: dict[int, float] = {}
        """Nanoseconds from an edge of the clock; less than none for what no register decides."""
        self.before: dict[int, int] = {}

    def is_block(self, memory: int) -> bool:
        cell = self.cells[memory]
        return cell.number * cell.width > BLOCK_MEMORY_BITS

    def table_of(self, place: int) -> int | None:
        """The table that a cell is an element of."""
        cell = self.cells[place]
        if cell.op != _READ_WIRE or self.cells[cell.reads[0]].op != _INDEX:
            return None
        return self.cells[cell.reads[0]].reads[0]

    def sources(self, place: int) -> tuple[int, ...]:
        """What a value follows in the same cycle."""
        cell = self.cells[place]
        if cell.op in ("seq.compreg", "seq.read", MEMORY, TABLE, _WIRE):
            return ()
        if cell.op == _INDEX:
            return cell.reads[1:]
        if cell.op == _READ_WIRE and self.cells[cell.reads[0]].op == _WIRE:
            return (self.assigned[cell.reads[0]],)
        return cell.reads

    def start(self, place: int) -> float:
        """When a value is there that follows no other."""
        cell, fabric = self.cells[place], self.fabric
        is_block = False
        if cell.op == "seq.read":
            is_block = self.is_block(cell.reads[0])
        elif cell.op == "seq.compreg":
            table = self.table_of(cell.reads[0])
            is_block = table is not None and self.is_block(table)
        elif cell.op != MEMORY:
            return float("-inf")
        return fabric.block if is_block else fabric.register

    def delay(self, place: int) -> float:
        """The nanoseconds of a cell behind what it reads."""
        cell, fabric, width = self.cells[place], self.fabric, self.netlist.live[place].bit_length()
        if cell.op in ("comb.add", "comb.sub"):
            return fabric.sum(width)
        if cell.op == "comb.icmp":
            bits = self.cells[cell.reads[0]].width
            return fabric.sum(bits) + fabric.above if cell.number > 1 else fabric.choice(2 * bits)
        if cell.op in ("comb.shl", "comb.shrs", "comb.shru"):
            by = self.netlist.own_bits(cell.reads[1])
            return fabric.choice(1 << min(by, cell.width.bit_length()))
        if cell.op == PRODUCT:
            return fabric.product
        if cell.op == _INDEX:
            memory = self.cells[cell.reads[0]]
            return 0.0 if self.is_block(cell.reads[0]) else fabric.choice(-(-memory.number // SMALL_DEPTH))
        return LEVELS.get(cell.op, 0.0) * fabric.gate

    def arrival(self, place: int) -> float:
        """When a value is there."""
        pending = [place]
        while pending:
            at = pending[-1]
            sources = self.sources(at)
            unknown = [s for s in sources if s not in self.arrivals]
            if at in self.arrivals or not unknown:
                pending.pop()
                last = max(sources, key=self.arrivals.__getitem__, default=at)
                self.before[at] = last
                self.arrivals[at] = self.arrivals[last] + self.delay(at) if last != at else self.start(at)
            else:
                pending += unknown
        return self.arrivals[place]

    def ends(self) -> Iterator[tuple[int, float]]:
        """What registers and memories take, and how long before the edge they need it."""
        for place, cell in enumerate(self.cells):
            if cell.op == "seq.compreg" and self.netlist.live[place]:
                yield cell.reads[0], 0.0
            elif cell.op == "seq.read":
                memory = cell.reads[0]
                small = self.fabric.gate + self.fabric.choice(-(-self.cells[memory].number // SMALL_DEPTH))
                yield cell.reads[1], 0.0 if self.is_block(memory) else small
            elif cell.op == "seq.write":
                for read in cell.reads[1:]:
                    yield read, self.fabric.gate

    def longest(self) -> Path:
        """The path that decides the clock."""
        end, time = max(((end, self.arrival(end) + need) for end, need in self.ends()), key=lambda found: found[1])
        names, at = [self.label(end)], end
        while (before := self.before[at]) != at:
            at = before
            names.append(self.label(at))
        return Path(time, tuple(name for name in reversed(names) if name))

    def label(self, place: int) -> str:
        cell = self.cells[place]
        if cell.op == "seq.read":
            return self.cells[cell.reads[0]].names[0]
        if cell.op == PRODUCT:
            return "product"
        if cell.names and cell.op != _RESULT:
            return cell.names[0]
        return cell.op.partition(".")[2] if self.delay(place) else ""


def longest_path(cells: Sequence[Cell], fabric: Fabric) -> Path:
    """The longest path of a design that is one module."""
    return _Paths(Netlist(cells), fabric).longest()
