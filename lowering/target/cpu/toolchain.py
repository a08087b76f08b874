"""The toolchain of CPUs: IREE, which leaves them one generator more."""

from __future__ import annotations

from terrace.lowering.target.iree.toolchain import IreeToolchain


class CpuToolchain(IreeToolchain):
    """Pools are ours on a CPU (3x3 and 2x2 windows on 56x56x64 take as long as IREE's or up to 8 % less)."""

    generators = tuple(sorted((*IreeToolchain.generators, "pool2d")))
