"""The family `copy`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.circuit_tile import other_rows_of_circuit, rows_of_circuit
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.copy.axes import accesses, collapsed, dimensions, moved_axes, rows_of
from terrace.lowering.kernels.copy.generator import generate
from terrace.lowering.kernels.copy.schedule import schedule_for_vectors
from terrace.lowering.kernels.copy.sizes import result_sizes
from terrace.lowering.kernels.copy.views import view_refusal
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.group import Group
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.type_rule import TypeRule, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine, VectorMachine
from terrace.mlir import ir


class Copy(KernelFamily):
    """Ops that move elements and compute nothing: elements stay as they are stored, whatever their type."""

    name = "copy"
    roots = (graph.BorderPadOp, graph.BroadcastOp, graph.ConcatOp, graph.PadOp, graph.SliceOp)
    any_rank = True
    takes_epilogue = False
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(
            kernel.space,
            moved_axes(kernel.root),
            rows_of(kernel.root),
            isinstance(kernel.root.opview, graph.BroadcastOp),
            kernel.types,
            machine,
        ),
        CircuitMachine: rows_of_circuit,
    }
    alternatives = {CircuitMachine: other_rows_of_circuit}
    words = "vectors along the last dimension, several in flight; memory is the limit"

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        *operands, result = types_of(root)
        return TypeRule(tuple(operands), result, (result,))

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        return collapsed(root, collapse)

    def view_refusal(self, root: ir.Operation) -> str | None:
        return view_refusal(root)

    def result_sizes(self, group: Group, space: IterationSpace) -> list[ir.Value | int]:
        return result_sizes(group.outer)

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        assert root is not None
        names = dimensions(root)
        return IterationSpace(names, ("parallel",) * len(names), tuple(result), accesses(root, names))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)
