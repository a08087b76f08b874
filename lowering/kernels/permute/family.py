"""The family `permute`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, to_attribute
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.circuit_tile import other_rows_of_circuit, rows_of_circuit
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import IterationSpace, along
from terrace.lowering.kernels.permute.generator import generate
from terrace.lowering.kernels.permute.schedule import schedule_for_vectors
from terrace.lowering.kernels.type_rule import TypeRule, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine, VectorMachine
from terrace.mlir import ir


class Permute(KernelFamily):
    """`graph.permute`: elements stay as they are stored, whatever their type."""

    name = "permute"
    roots = (graph.PermuteOp,)
    any_rank = True
    takes_epilogue = False
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(
            kernel.space, attributes_of(kernel.root).permutation, kernel.types, machine
        ),
        CircuitMachine: rows_of_circuit,
    }
    alternatives = {CircuitMachine: other_rows_of_circuit}
    words = "runs of the last dimension, or blocks of it and of the one that was last; memory is the limit"

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        *operands, result = types_of(root)
        return TypeRule(tuple(operands), result, (result,))

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        """Runs of axes that stay beside each other become one."""
        permutation, (operand,) = attributes_of(root).permutation, collapse.operands
        place = {axis: number for number, run in enumerate(operand) for axis in run}
        return {"permutation": to_attribute([place[permutation[run[0]]] for run in collapse.result])}

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        assert root is not None
        names = tuple(f"d{axis}" for axis in range(len(result)))
        permutation = attributes_of(root).permutation
        read = along(*(names[permutation.index(axis)] for axis in range(len(names))))
        return IterationSpace(names, ("parallel",) * len(names), tuple(result), (read, along(*names)))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)
