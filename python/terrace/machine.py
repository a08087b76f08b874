"""What cost models know of hardware: machines in three kinds, by how a kernel's tile is held and worked on.

A target's description makes one; the kernel families read machines only, and know no target.
"""

from __future__ import annotations

import dataclasses

from terrace.element_types import F32


@dataclasses.dataclass(frozen=True)
class Atom:
    """A step that multiplies: to each element of an accumulator it adds `depth` products, of neighbours along k.

    `types` are those of lhs, rhs and the accumulator. `speed` is how many products it makes in the time in which a
    multiply-add of float32 makes one. With `unsigned_lhs` it reads lhs as unsigned. `block` is the rows, columns and
    terms along k of what it multiplies at once, if that is no vector; what is missing of a block is zeros.
    """

    name: str
    types: tuple[str, str, str]
    depth: int
    speed: float
    unsigned_lhs: bool = False
    block: tuple[int, int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Machine:
    """Something that runs kernels."""

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """The steps that it has beside multiply-adds."""
        return ()

    def best_atom(self, types: tuple[str, ...], rows: int = 0) -> Atom | None:
        """The fastest step for these element types of lhs, rhs and accumulator; None if a multiply-add is.

        One that multiplies blocks is meant for no fewer `rows` of lhs than those have.
        """
        fitting = [atom for atom in self.atoms if atom.block is None or atom.block[0] <= rows]
        faster = [atom for atom in fitting if atom.types == types and atom.speed > 1]
        return max(faster, key=lambda atom: atom.speed, default=None)

    def speed_of(self, atom: str | None) -> float:
        """That of a step by name; 1 for a multiply-add."""
        return next((known.speed for known in self.atoms if known.name == atom), 1.0)


@dataclasses.dataclass(frozen=True)
class VectorMachine(Machine):
    """Cores whose tiles are vector registers: the numbers of one core, and how many share the work.

    `fma_per_cycle` and `loads_per_cycle` count vectors, `fma_latency` is in cycles. `local_bytes` is what a workgroup
    may keep in memory of its own, and `near_bytes` how much of it stays near beside what streams through.
    """

    vector_bits: int = 512
    vector_registers: int = 32
    fma_per_cycle: int = 2
    fma_latency: int = 4
    loads_per_cycle: int = 2
    l1_bytes: int = 32 << 10
    l2_bytes: int = 1 << 20
    local_bytes: int = 4 << 20
    workers: int = 1

    @property
    def near_bytes(self) -> int:
        return min(self.local_bytes, self.l2_bytes // 2)

    @property
    def lanes(self) -> int:
        """The elements of a piece of a tile, of whatever type: as many as a register holds of float32."""
        return self.vector_bits // F32.bits


@dataclasses.dataclass(frozen=True)
class WorkgroupMachine(Machine):
    """Workgroups of invocations that share a tile, and `local_bytes` of memory."""

    workgroup_size: int
    local_bytes: int


BLOCK_MEMORY_BITS = 1 << 10
"""A memory of hardware with more bits is made of blocks, a smaller one of logic."""


@dataclasses.dataclass(frozen=True)
class CircuitMachine(Machine):
    """Circuits whose tiles are registers: `local_bytes` is the largest array that is staged.

    Tiles of integers are at most the `widest` along a dimension.
    """

    local_bytes: int
    widest: int = 16
