"""The family `sort`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of, to_attribute
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace
from terrace.lowering.kernels.line_space import line_space
from terrace.lowering.kernels.sort.generator import generate
from terrace.lowering.kernels.sort.schedule import schedule_for_vectors
from terrace.lowering.kernels.sort.space import is_whole, refusal
from terrace.lowering.kernels.type_rule import TypeRule, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine
from terrace.mlir import ir


class Sort(KernelFamily):
    """Places of elements in order along an axis: all of them, or the first few."""

    name = "sort"
    roots = (graph.ArgsortOp, graph.TopkOp)
    operands = ("input",)
    takes_epilogue = False
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(kernel.space, is_whole(kernel.root), machine)
    }
    alternatives = {
        VectorMachine: lambda kernel, chosen, machine: (
            schedule_for_vectors(kernel.space, is_whole(kernel.root), machine, along) for along in (2, 8, 1)
        ),
    }
    words = "a few vectors along a row, which are compared with the last of the first, or one across lines"

    def refusal(self, root: ir.Operation) -> str | None:
        return refusal(root)

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        type_, result = types_of(root)
        return TypeRule((type_,), result, (result,)) if type_ in (*reduced, "f32", "f16", "bf16") else None

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        """The kernel has what is before the axis, the axis and what is behind it."""
        return {"axis": to_attribute(1)}

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        """Lines along n, of which c are found where these are the first few."""
        assert root is not None
        axis = attributes_of(root).axis
        space = line_space(axis, shape_of(root.operands[0]))
        if root.name == "graph.argsort":
            return space
        at = space.names.index("n") + 1
        (whole, _), names, kinds, sizes = space.accesses, list(space.names), list(space.kinds), list(space.sizes)
        names.insert(at, "c")
        kinds.insert(at, "reduction")
        sizes.insert(at, attributes_of(root).count)
        found = tuple(Axis({"c": 1}) if axis == Axis({"n": 1}) else axis for axis in whole)
        return IterationSpace(tuple(names), tuple(kinds), tuple(sizes), (whole, found))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)
