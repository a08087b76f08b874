"""What the machine can do at most: programs that do nothing else, measured in the rounds of what they limit."""

from __future__ import annotations

import dataclasses
import math
import mmap
from typing import Any

import numpy as np
from terrace.compiler import compile as terrace_compile
from terrace.compiler import compile_mlir
from terrace.lowering.target.cpu.atoms import CpuMachine, atoms
from terrace.lowering.target.cpu.peak import ACCUMULATORS, ROWS_READ, peak_flops, peak_text, read_text
from terrace.runtime.cpu_features import host_features
from terrace.target import COMPUTE_FEATURES, CpuDescription, Target
from terrace.tools.bench.timing import Call

READ = {"L2": 1 << 18, "L3": 1 << 23, "DRAM": 1 << 28}
"""About how many bytes lie in that memory and in no faster one."""

LEAST_READ = 1 << 26
"""Bytes that a call reads at least, so that it costs nothing beside."""


@dataclasses.dataclass(frozen=True)
class Limit:
    """A program on one thread that does `amount` of something in a call: operations, or bytes that it reads."""

    amount: int
    call: Call


def limits() -> dict[str, Limit]:
    """By the element type of the operands, as MLIR calls it, the products; by the memory, what is read from it."""
    features = tuple(sorted(COMPUTE_FEATURES & host_features()))
    cpu = CpuDescription.of_features(features)
    found = {"f32": _limit(peak_text(cpu.lanes), _vectors(cpu, "float32"), peak_flops(cpu))}
    machine = CpuMachine(**dataclasses.asdict(cpu), features=features)
    for atom in atoms():
        if atom == machine.best_atom(atom.types):
            start = _vectors(cpu, {"f32": "float32", "i32": "int32"}[atom.types[2]])
            found[atom.types[0]] = _limit(peak_text(cpu.lanes, atom), start, peak_flops(cpu, atom))
    for name, size in READ.items():
        rows, times = size // 4 // cpu.lanes // ROWS_READ * ROWS_READ, max(1, LEAST_READ // size)
        memory = _huge_pages(rows, cpu.lanes)
        found[name] = _limit(read_text(cpu.lanes, rows, times), memory, memory.nbytes * times)
    return found


def empty_call(threads: int) -> Call:
    """The call of a model that adds 1 to a number."""
    import torch
    from torch import nn

    class AddOne(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    one = torch.zeros(1)
    compiled = terrace_compile(AddOne(), (one,), target=Target(threads=threads))
    return lambda: compiled(one)


def _limit(text: str, argument: Any, amount: int) -> Limit:
    program = compile_mlir(text, target=Target(threads=1))
    return Limit(amount, lambda: program(argument))


def _vectors(cpu: CpuDescription, dtype: str) -> Any:
    return np.linspace(0.5, 1.5, ACCUMULATORS * cpu.lanes).astype(dtype).reshape(ACCUMULATORS, cpu.lanes)


def _huge_pages(*shape: int) -> Any:
    """An array of float32 in pages as large as the system has, so that translating addresses costs nothing."""
    memory = mmap.mmap(-1, 4 * math.prod(shape))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    array = np.frombuffer(memory, np.float32).reshape(shape)
    array[:] = 1
    return array
