"""The toolchain of GPUs: IREE, beside kernels of ours in 32-bit numbers."""

from __future__ import annotations

from terrace.lowering.kernels.registry import families_for
from terrace.lowering.target.iree.toolchain import IreeToolchain
from terrace.machine import WorkgroupMachine


class GpuToolchain(IreeToolchain):
    """Every GPU computes with 32-bit numbers; what has others is left to IREE, which knows which ones a GPU has."""

    generators = families_for(WorkgroupMachine)
    element_types = ("f32", "i32")
