"""FPGAs that designs are made for, as data."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Part:
    """An FPGA: its family, the name that Vitis has for it (none for those of other makers), and what is on it: lookup
    tables, registers, multipliers, and RAM in blocks of 36 Kb.
    """

    family: str
    device: str
    lut: int
    ff: int
    dsp: int
    bram: int


PARTS = {
    # AMD, DS190: Zynq-7000 overview.
    "xc7z020": Part("xc7", "xc7z020clg400-1", 53_200, 106_400, 220, 140),
    # AMD, DS891: Zynq UltraScale+ overview; its 96 blocks of UltraRAM are not counted.
    "xczu7ev": Part("xcup", "xczu7ev-ffvc1156-2-e", 230_400, 460_800, 1_728, 312),
    # AMD, DS962: Alveo U250; its UltraRAM is not counted.
    "xcu250": Part("xcup", "xcu250-figd2104-2L-e", 1_728_000, 3_456_000, 12_288, 2_688),
    # Lattice, FPGA-DS-02012: ECP5; 208 blocks of 18 Kb, multipliers of 18 by 18 bits.
    "lfe5u-85f": Part("ecp5", "", 83_640, 83_640, 156, 104),
}
"""By name, with the maker's document that the numbers are from."""
