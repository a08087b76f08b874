"""What the module of a kernel takes of an FPGA: lookup tables, registers, multipliers, blocks of memory, estimated.

Registers and multipliers are counted in the module, by the rules of yosys' `synth_ecp5` and `synth_xilinx`; what a gate
takes of lookup tables was fitted to what these give (`scripts/check_resources.py --fit`, docs/systemverilog.md). No
place is known, so this is what synthesis says, not what is left after placing.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Mapping, Sequence

from terrace.lowering.target.rtl.fabric import FABRICS
from terrace.lowering.target.rtl.netlist import PRODUCT, TABLE, Netlist
from terrace.lowering.target.rtl.values import PART_BITS
from terrace.machine import BLOCK_MEMORY_BITS

SHIFT_CYCLES = 3
"""A value that waits for so many cycles is in a shift register, where lookup tables can be one."""

GATES = (
    "add", "compress", "less", "mux", "nested mux", "mask", "shift", "logic", "parts", "product sum", "delay",
)  # fmt: skip
"""What takes lookup tables, by bits: sums, terms of a sum beyond two, comparisons by order, multiplexers, those behind
another one, those with a constant, stages of shifts, and with or and equality, products in parts, sums with a product,
which a multiplier may add, shift registers.
"""


@dataclasses.dataclass(frozen=True)
class Family:
    """FPGAs of one kind. `luts` are those of a bit of each of `GATES`; a number too wide for a multiplier is cut in
    parts of 17 bits, but for a last part of fewer bits than `least_part`; a block of memory has one of the shapes
    `blocks` (elements, bits), and counts as much as it says; a small one has `small_memory` (elements, bits, lookup
    tables), or, if it is never written, `table_bits` in one. With `absorbs`, multipliers and shift registers hold
    registers.
    """

    name: str
    luts: Mapping[str, float]
    least_part: int
    blocks: Sequence[tuple[int, int, float]]
    small_memory: tuple[int, int, int]
    table_bits: int
    absorbs: bool


FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="ecp5",
            luts=dict(zip(GATES, (0.76, 2.41, 1.23, 1.73, 0.15, 0.75, 0.38, 0.54, 0, 0.47, 0), strict=True)),
            least_part=3,
            blocks=[(512, 36, 1), (1024, 18, 1), (2048, 9, 1), (4096, 4, 1), (8192, 2, 1), (16384, 1, 1)],
            small_memory=(16, 4, 4),
            table_bits=16,
            absorbs=False,
        ),
        Family(
            name="xc7",
            luts=dict(zip(GATES, (0.37, 0.85, 0.28, 0.77, 0, 0, 0.02, 0.69, 0, 0.1, 0.41), strict=True)),
            least_part=2,
            blocks=[
                *((1 << (9 + more), 36 >> more, 0.5) for more in range(3)),
                *((1 << (9 + more), 32 >> more, 0.5) for more in range(3, 6)),
                *((1 << (10 + more), 36 >> more, 1) for more in range(3)),
                *((1 << (10 + more), 32 >> more, 1) for more in range(3, 6)),
                (512, 72, 1),
            ],
            small_memory=(32, 6, 4),
            table_bits=64,
            absorbs=True,
        ),
    )
}
"""Lattice ECP5 (LUT4s, a carry cell being two; MULT18X18D; DP16KD) and AMD 7 series (LUTs; DSP48E1; RAMB36, of which a
RAMB18 is a half).
"""


@dataclasses.dataclass(frozen=True)
class Resources:
    """What a circuit takes: lookup tables, registers, multipliers, blocks of memory."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram: float = 0

    def __add__(self, other: Resources) -> Resources:
        mine, others = dataclasses.astuple(self), dataclasses.astuple(other)
        return Resources(*(a + b for a, b in zip(mine, others, strict=True)))


def resources_of(netlist: Netlist, family: Family) -> Resources:
    """What a module takes of a family."""
    gates = gates_of(netlist, family)
    lut = sum(family.luts[name] * gates[name] for name in GATES)
    registers = sum(netlist.width(place) for place in netlist.of("seq.compreg"))
    registers -= _absorbed(netlist, family) if family.absorbs else 0
    products = [netlist.operands(place) for place in netlist.of(PRODUCT)]
    found = Resources(round(lut), registers, sum(_multipliers(p, family) for p in products))
    return sum((_memory(netlist, place, family) for place in netlist.memories), found)


def counted(cells: Mapping[str, int]) -> Resources:
    """The cells that yosys counts: a carry cell of ECP5 is two lookup tables, a memory made of them is four."""

    def total(pattern: str) -> int:
        return sum(count for name, count in cells.items() if re.fullmatch(pattern, name))

    lut = total(r"LUT\d|SRL.*") + 2 * total("CCU2C") + 4 * total("TRELLIS_DPR16X4|RAM.*M") + total(r"RAM\d+X.*")
    bram = total("DP16KD|RAMB36E1") + total("RAMB18E1") / 2
    return Resources(lut, total("FD.*|TRELLIS_FF"), total("DSP48E1|MULT18X18D"), bram)


def _multipliers(widths: Sequence[int], family: Family) -> int:
    if all(width <= most for width, most in zip(widths, FABRICS[family.name].product_bits, strict=True)):
        return 1
    few, many = (max(1, -(-(width - family.least_part + 1) // PART_BITS)) for width in widths)
    return few * many


def memory_blocks(elements: int, bits: int, family: Family) -> float:
    """The blocks of a memory, in the shape of which it takes fewest; none if it is small."""
    if elements * bits <= BLOCK_MEMORY_BITS:
        return 0
    return min(-(-elements // depth) * -(-bits // width) * cost for depth, width, cost in family.blocks)


def _memory(netlist: Netlist, place: int, family: Family) -> Resources:
    """What a memory takes: blocks, or lookup tables, and then registers for what is read."""
    cell = netlist.cells[place]
    blocks = memory_blocks(cell.number, cell.width, family)
    if blocks:
        return Resources(bram=blocks)
    if cell.op == TABLE:
        return Resources(lut=cell.number * cell.width // family.table_bits)
    depth, width, luts = family.small_memory
    reads = sum(netlist.cells[reader].op == "seq.read" for reader in netlist.readers[place])
    return Resources(lut=reads * -(-cell.number // depth) * -(-cell.width // width) * luts, ff=reads * cell.width)


# -- registers --------------------------------------------------------------------------------------------------------


def _absorbed(netlist: Netlist, family: Family) -> int:
    """The bits of registers that a multiplier holds with its product or its operands, or a shift register of three
    cycles and more in lookup tables.
    """
    plain = _plain(netlist)
    held = dict.fromkeys(plain, 0)
    for product in netlist.of(PRODUCT):
        kept = _bits_kept_by_multiplier(_multipliers(netlist.operands(product), family))
        for reader in plain.intersection(netlist.readers[product]):
            held[reader] = netlist.live[reader] & kept
            if kept == -1 and (total := _sum_of_product(netlist, plain, reader)) is not None:
                held[total] = netlist.live[total]
    for place in plain:
        sinks = netlist.sinks(place)
        if sinks and all(netlist.cells[sink].op == PRODUCT for sink in sinks):
            # A multiplier has two registers for each operand.
            before = netlist.cells[place].reads[0]
            is_second = before in plain and len(netlist.readers[before]) == 1
            held |= {each: netlist.live[each] for each in (place, *([before] if is_second else []))}
    for place in plain:
        chain, bits = _chain(netlist, plain, place)
        if len(chain) == SHIFT_CYCLES:
            bits &= ~held[chain[-1]]  # Without those, it is too short.
        if len(chain) >= SHIFT_CYCLES:
            held |= {each: held[each] | bits for each in chain}
    return sum((mask & netlist.live[place]).bit_count() for place, mask in held.items())


def _bits_kept_by_multiplier(count: int) -> int:
    """The bits of a product that the register of the last of so many multipliers holds: all, those of the second one
    of two, or none where more are added elsewhere.
    """
    return {1: -1, 2: -1 << PART_BITS}.get(count, 0)


def _sum_of_product(netlist: Netlist, plain: set[int], register: int) -> int | None:
    """The register of a sum of a product and one number, which the multiplier adds and holds."""
    sinks = netlist.sinks(register)
    if len(sinks) != 1 or netlist.cells[min(sinks)].op != "comb.add" or len(netlist.cells[min(sinks)].reads) != 2:
        return None
    found, pending = set[int](), netlist.sinks(min(sinks))
    while pending:
        place = pending.pop()
        if netlist.cells[place].op == "comb.mux":
            pending |= netlist.sinks(place)
        else:
            found.add(place)
    return min(found) if len(found) == 1 and found <= plain else None


def _plain(netlist: Netlist) -> set[int]:
    """The registers without a reset."""
    return {p for p in netlist.of("seq.compreg") if len(netlist.cells[p].reads) == 2}


def _chain(netlist: Netlist, plain: set[int], last: int) -> tuple[list[int], int]:
    """The registers that a value goes through up to the last of them, one after the other, and the bits of it that
    nothing else reads on the way. Only the end of the longest chain has one.
    """
    for reader in plain.intersection(netlist.readers[last]):
        if _read_beside(netlist, last, reader).bit_count() * 2 <= netlist.width(last):
            return [], 0
    chain, bits = [last], netlist.live[last]
    while (before := netlist.cells[chain[-1]].reads[0]) in plain:
        beside = _read_beside(netlist, before, chain[-1])
        if beside.bit_count() * 2 > bits.bit_count():
            break
        chain.append(before)
        bits &= ~beside
    return chain, bits


def _read_beside(netlist: Netlist, place: int, reader: int) -> int:
    """The bits of a cell that other cells than one read."""
    found = 0
    for other in netlist.readers[place]:
        cell = netlist.cells[other]
        if other != reader and cell.op == "comb.extract":
            found |= ((1 << cell.width) - 1) << cell.number
        elif other != reader:
            found |= netlist.live[place]
    return found


# -- gates ------------------------------------------------------------------------------------------------------------


def gates_of(netlist: Netlist, family: Family) -> dict[str, int]:
    """The bits of each of `GATES`."""
    found: dict[str, int] = collections.Counter()
    _count_sums(netlist, found)
    for place in netlist.of("comb.icmp"):
        bits = max(0 if netlist.is_constant(r) else netlist.width(r) for r in netlist.cells[place].reads)
        found["less" if netlist.cells[place].number > 1 else "logic"] += bits
    for place in netlist.of("comb.and", "comb.or", "comb.xor"):
        found["logic"] += netlist.width(place) * (len(netlist.cells[place].reads) - 1)
    for place in netlist.of("comb.mux"):
        found[_kind_of_mux(netlist, place)] += netlist.width(place)
    for place in netlist.of("comb.shl", "comb.shrs", "comb.shru"):
        cell = netlist.cells[place]
        found["shift"] += cell.width * netlist.own_bits(cell.reads[1])
    for place in netlist.of(PRODUCT):
        found["parts"] += (_multipliers(netlist.operands(place), family) - 1) * netlist.cells[place].width
    plain = _plain(netlist)
    for chain, bits in (_chain(netlist, plain, place) for place in plain):
        found["delay"] += bits.bit_count() if len(chain) >= SHIFT_CYCLES else 0
    return {name: found[name] for name in GATES}


def _kind_of_mux(netlist: Netlist, place: int) -> str:
    """The gate that a multiplexer is; one that keeps or resets a register is that register's ("register")."""
    cell, readers = netlist.cells[place], netlist.readers[place]
    is_stored = len(readers) == 1 and netlist.cells[readers[0]].op == "seq.compreg"
    is_stored = is_stored and netlist.cells[readers[0]].reads[0] == place
    if is_stored and readers[0] in cell.reads[1:]:
        return "register"
    if any(map(netlist.is_constant, cell.reads[1:])):
        return "register" if is_stored else "mask"
    behind = [r for r in cell.reads[1:] if netlist.cells[r].op == "comb.mux" and len(netlist.readers[r]) == 1]
    return "nested mux" if behind else "mux"


def _count_sums(netlist: Netlist, found: dict[str, int]) -> None:
    """Sums of sums are compressed to two terms, which are added."""
    sums = set(netlist.of("comb.add", "comb.sub"))
    inner = {p for p in sums if len(sinks := netlist.sinks(p)) == 1 and sinks <= sums}

    def bits(place: int) -> int:
        """The bits of all terms."""
        cell = netlist.cells[place]
        sources = [netlist.unextended(read) for read in cell.reads]
        terms = zip(cell.reads, sources, strict=True)
        return sum(bits(s) if s in inner else min(netlist.own_bits(read), cell.width) for read, s in terms)

    for place in sums - inner:
        width, cell = netlist.live[place].bit_length(), netlist.cells[place]
        registers = [netlist.cells[netlist.unextended(read)] for read in cell.reads]
        is_of_product = any(r.op == "seq.compreg" and netlist.cells[r.reads[0]].op == PRODUCT for r in registers)
        found["product sum" if is_of_product else "add"] += width
        if len(cell.reads) > 2 or any(netlist.unextended(read) in inner for read in cell.reads):
            found["compress"] += max(0, bits(place) - 2 * width)
