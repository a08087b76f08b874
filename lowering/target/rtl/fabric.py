"""What the FPGAs of a family are made of, for the schedule of a circuit: their multipliers, and how long gates take.

Delays are in nanoseconds and have a wire of usual length in them. Those of ECP5 are what nextpnr reports of designs of
ours at speed grade 6 (docs/systemverilog.md says how near the clock is that follows). Those of AMD's parts are from
data sheets (DS187, speed grade -1; DS925, -2E) with wires of 0.6 and 0.4: no open tool says how true they are.
"""

from __future__ import annotations

import dataclasses
import math

from terrace.lowering.target.rtl.circuit import Memory
from terrace.machine import BLOCK_MEMORY_BITS

UNCERTAINTY = 0.12
"""The part of a cycle that a schedule leaves free: the longest of many paths has wires that are longer than usual."""

SMALL_DEPTH = 16
"""The elements of a memory that is one lookup table for a bit."""


@dataclasses.dataclass(frozen=True)
class Fabric:
    """FPGAs of one kind."""

    product_bits: tuple[int, int]
    """The operands of a multiplier, signs included, the smaller first."""

    register: float
    """From the edge of the clock to what a register holds, and what it needs before the next edge."""

    gate: float
    """A level of lookup tables."""

    carry: float
    """Into a chain of carries and out of it, beside what each bit takes."""

    carry_bit: float

    above: float
    """From the end of a chain of carries to its one bit, which a comparison is."""

    product: float
    """Through a multiplier, with the wires to it and from it."""

    block: float
    """From the edge of the clock to what a block of memory reads."""

    spread: float = 0.0
    """What wires take more where all multipliers of a part are in use: they lie in rows all over it."""

    def usable(self, clock_mhz: float) -> float:
        """The nanoseconds of a cycle that gates may take."""
        return 1e3 / clock_mhz * (1 - UNCERTAINTY) - self.register

    def memory(self, memory: Memory) -> float:
        """From the edge of the clock to an element that was read. Arguments are read from one of several slots."""
        slot = self.gate if memory.argument is not None else 0.0
        return slot + (self.block - self.register if self.is_block(memory) else 0.0)

    @staticmethod
    def is_block(memory: Memory) -> bool:
        return memory.depth * memory.width > BLOCK_MEMORY_BITS

    def read_port(self, memory: Memory, count: int) -> float:
        """From one of so many addresses to the register of a memory, which a small one has behind what it reads."""
        small = self.gate + self.choice(-(-memory.depth // SMALL_DEPTH))
        return self.choice(count) + (0.0 if self.is_block(memory) else small)

    def write_port(self, memory: Memory, count: int) -> float:
        """From one of so many conditions through its cycle to the register of a port. A memory of the kernel's own has
        none there, and all its bits are to be reached.
        """
        return self.choice(count) + self.gate * (1 if memory.argument is not None else 3)

    def sum(self, width: int) -> float:
        return self.carry + self.carry_bit * width

    def choice(self, count: int) -> float:
        """One of so many values."""
        return self.gate * math.ceil((count - 1).bit_length() / 2)


FABRICS = {
    "ecp5": Fabric(
        product_bits=(18, 18),
        register=0.65,
        gate=1.35,
        carry=2.0,
        carry_bit=0.036,
        above=1.3,
        product=7.6,
        block=6.9,
        spread=3.5,
    ),
    "xc7": Fabric(
        product_bits=(18, 25),
        register=0.55,
        gate=0.72,
        carry=1.3,
        carry_bit=0.03,
        above=0.3,
        product=4.4,
        block=3.1,
    ),
    "xcup": Fabric(
        product_bits=(18, 27),
        register=0.15,
        gate=0.45,
        carry=0.7,
        carry_bit=0.01,
        above=0.1,
        product=2.4,
        block=1.5,
    ),
}
"""By the name of the family, as in `terrace.fpga`; what gates take of lookup tables is in `resources.FAMILIES`."""
