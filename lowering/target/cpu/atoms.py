"""The steps that CPUs multiply with, beside multiply-adds: what they need of a CPU, and the code of one."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable

from terrace.machine import Atom, VectorMachine
from terrace.mlir import ir
from terrace.target import Target

Step = Callable[[ir.Value, ir.Value, ir.Value], ir.Value]
"""Called with vectors of accumulators, of rhs (`depth` neighbours along k for each of its lanes) and of lhs (the same
`depth` elements for all lanes), or with a block of each; gives the accumulators with the products added."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CpuAtom(Atom):
    """An atom of a CPU. `features` are those that it needs, by LLVM's names; `slow_with` is one of CPUs on which it
    is half as fast as a multiply-add. `step` makes its code, for vectors of one of the `lanes` of accumulators, or for
    a block on CPUs whose vectors have the largest of them.
    """

    features: tuple[str, ...]
    lanes: tuple[int, ...]
    step: Step
    slow_with: str = ""


ATOMS: tuple[str, ...] = (
    "terrace.lowering.target.cpu.amx:AMX_BF16",
    "terrace.lowering.target.cpu.amx:AMX_INT8",
    "terrace.lowering.target.cpu.bf16_dot:BF16_DOT",
    "terrace.lowering.target.cpu.int8_dot:INT8_DOT",
    "terrace.lowering.target.cpu.int8_dot:INT8_DOT_256",
    "terrace.lowering.target.cpu.int8_pairs:INT8_PAIRS",
)
"""Where each atom is, as module:name."""


@functools.cache
def atoms() -> tuple[CpuAtom, ...]:
    """All atoms."""
    places = (place.partition(":") for place in ATOMS)
    return tuple(getattr(importlib.import_module(module), name) for module, _, name in places)


def find_atom(name: str) -> CpuAtom | None:
    """The atom of this name, or None."""
    return next((atom for atom in atoms() if atom.name == name), None)


@dataclasses.dataclass(frozen=True)
class CpuMachine(VectorMachine):
    """A core with the atoms that its features make."""

    features: tuple[str, ...] = ()

    @property
    def atoms(self) -> tuple[Atom, ...]:
        own = (a for a in atoms() if set(a.features) <= set(self.features) and max(a.lanes) == self.lanes)
        return tuple(dataclasses.replace(a, speed=0.5) if a.slow_with in self.features else a for a in own)


def machine_of(target: Target) -> CpuMachine:
    """What the kernels of a resolved target run on."""
    assert target.cpu is not None, "the target is not resolved"
    return CpuMachine(**dataclasses.asdict(target.cpu), features=target.features or ())
