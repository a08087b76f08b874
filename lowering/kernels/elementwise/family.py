"""The family `elementwise`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.lowering.kernels.alternatives import UNROLLS
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.circuit_tile import other_rows_of_circuit, rows_of_circuit
from terrace.lowering.kernels.elementwise.generator import generate
from terrace.lowering.kernels.elementwise.schedule import schedule_for_vectors, schedule_for_workgroups
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import IterationSpace, along
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine, VectorMachine, WorkgroupMachine
from terrace.mlir import ir


class Elementwise(KernelFamily):
    """Groups without a root: elementwise ops that broadcast, of any rank."""

    name = "elementwise"
    roots = ()
    any_rank = True
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(kernel.space, kernel.types, machine),
        WorkgroupMachine: lambda kernel, machine: schedule_for_workgroups(kernel.space, machine),
        CircuitMachine: rows_of_circuit,
    }
    alternatives = {
        CircuitMachine: other_rows_of_circuit,
        VectorMachine: lambda kernel, chosen, machine: (
            schedule_for_vectors(kernel.space, kernel.types, machine, unroll) for unroll in UNROLLS
        ),
    }
    words = "vectors along the last dimension, several in flight; memory is the limit, not arithmetic"

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        names = tuple(f"d{axis}" for axis in range(len(result)))
        return IterationSpace(names, ("parallel",) * len(names), tuple(result), (along(*names),))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)
