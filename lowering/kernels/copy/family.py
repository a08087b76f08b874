"""The family `copy`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.circuit_tile import schedule_row_of_circuit
from terrace.lowering.kernels.copy.generator import generate
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.type_rule import TypeRule, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine
from terrace.mlir import ir


class Copy(KernelFamily):
    """Ops that move elements and compute nothing."""

    name = "copy"
    roots = (graph.BroadcastOp, graph.ConcatOp, graph.PadOp, graph.SliceOp)
    needs_static_shapes = True
    schedules = {CircuitMachine: lambda kernel, machine: schedule_row_of_circuit(kernel.space)}

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        *operands, result = types_of(root)
        return TypeRule(tuple(operands), result, (result,))

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        names = tuple(f"d{axis}" for axis in range(len(result)))
        return IterationSpace(names, ("parallel",) * len(names), tuple(result))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)
