"""What cost models know of hardware: machines in three kinds, by how a kernel's tile is held and worked on.

A target's description makes one; the kernel families read machines only, and know no target.
"""

from __future__ import annotations

import dataclasses

from terrace.element_types import F32


@dataclasses.dataclass(frozen=True)
class Machine:
    """Something that runs kernels."""


@dataclasses.dataclass(frozen=True)
class VectorMachine(Machine):
    """Cores whose tiles are vector registers: the numbers of one core, and how many share the work.

    `fma_per_cycle` and `loads_per_cycle` count vectors, `fma_latency` is in cycles. `local_bytes` is what a workgroup
    may keep in memory of its own.
    """

    vector_bits: int = 512
    vector_registers: int = 32
    fma_per_cycle: int = 2
    fma_latency: int = 4
    loads_per_cycle: int = 2
    l1_bytes: int = 32 << 10
    l2_bytes: int = 1 << 20
    local_bytes: int = 512 << 10
    workers: int = 1

    @property
    def lanes(self) -> int:
        """The elements of a piece of a tile, of whatever type: as many as a register holds of float32."""
        return self.vector_bits // F32.bits


@dataclasses.dataclass(frozen=True)
class WorkgroupMachine(Machine):
    """Workgroups of invocations that share a tile, and `local_bytes` of memory."""

    workgroup_size: int
    local_bytes: int


@dataclasses.dataclass(frozen=True)
class CircuitMachine(Machine):
    """Circuits whose tiles are registers: `local_bytes` is the largest array that is staged."""

    local_bytes: int
