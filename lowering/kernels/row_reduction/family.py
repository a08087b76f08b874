"""The family `row_reduction`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of, to_attribute
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.circuit_tile import rows_of_circuit, whole_rows_of_circuit
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, along, numbered
from terrace.lowering.kernels.line_space import line_space
from terrace.lowering.kernels.row_reduction.generator import generate
from terrace.lowering.kernels.row_reduction.schedule import alternatives, schedule_for_vectors, schedule_for_workgroups
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine, VectorMachine, WorkgroupMachine
from terrace.mlir import ir

SOFTMAXES = ("graph.integer_softmax", "graph.softmax")


class RowReduction(KernelFamily):
    """Softmax and norms: reductions of rows, or lines along another axis, whose result has the shape of the input."""

    name = "row_reduction"
    roots = (graph.IntegerLayerNormOp, graph.IntegerSoftmaxOp, graph.LayerNormOp, graph.RmsNormOp, graph.SoftmaxOp)
    fusing_roots = (graph.IntegerLayerNormOp,)
    operands = ("input", "scale", "shift")
    wide_types = ("f64",)
    types = {
        graph.IntegerLayerNormOp: (TypeRule(("i8",), "i64", ("i32",)),),
        graph.IntegerSoftmaxOp: (TypeRule(("i8",), "i32", ("i8",)),),
    }
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(
            kernel.space, machine, keeps_terms=kernel.root.name == "graph.softmax"
        ),
        WorkgroupMachine: lambda kernel, machine: schedule_for_workgroups(kernel.space, machine),
        CircuitMachine: rows_of_circuit,
    }
    alternatives = {
        CircuitMachine: whole_rows_of_circuit,
        VectorMachine: lambda kernel, chosen, machine: alternatives(
            kernel.space, machine, keeps_terms=kernel.root.name == "graph.softmax"
        ),
    }
    words = "several vectors along a row in flight, enough to hide the latency of an addition"

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        """The kernel has rows and columns, and reduces the columns; or what is before lines, in and behind them."""
        if root.name in SOFTMAXES:
            return {"axis": to_attribute(1)}
        return {"dims": to_attribute(1)} if root.name == "graph.integer_layer_norm" else {}

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        """Rows and columns, m and n in a kernel; the columns are reduced, and then written."""
        assert root is not None
        if root.name in SOFTMAXES and attributes_of(root).axis != len(result) - 1:
            return line_space(attributes_of(root).axis, result)
        count = _columns(root)
        rows, columns = numbered("m", max(1, len(result) - count)), numbered("n", count)
        # What is reduced whole is one row.
        whole = (*(Axis({row: int(len(result) > count)}) for row in rows), *along(*columns))
        names = (*rows, *columns)
        kinds = ("parallel",) * len(rows) + ("reduction",) * count
        vectors = (along(*columns),) * (len(root.operands) - 1)
        return IterationSpace(names, kinds, (1, *result)[-len(names) :], (whole, *vectors, whole))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)


def _columns(root: ir.Operation) -> int:
    """How many of its last axes a root reduces."""
    if root.name in SOFTMAXES:
        return 1
    if root.name == "graph.integer_layer_norm":
        return int(attributes_of(root).dims)
    return len(shape_of(root.operands[1]))
