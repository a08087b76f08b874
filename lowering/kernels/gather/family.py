"""The family `gather`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of, to_attribute
from terrace.dialects.graph_indexed import points, stretches
from terrace.lowering.graph.builders import size_of, users_of
from terrace.lowering.kernels.alternatives import UNROLLS
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.gather.generator import generate, is_row
from terrace.lowering.kernels.gather.schedule import schedule_for_vectors
from terrace.lowering.kernels.gather.space import joined_axes, names_of, picked, repeated
from terrace.lowering.kernels.group import Group
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, along
from terrace.lowering.kernels.type_rule import TypeRule, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC, ir, operation_of


class Gather(KernelFamily):
    """Elements, or rows of a table, picked by indices that are known when the program runs."""

    name = "gather"
    roots = (graph.EmbeddingOp, graph.GatherOp)
    fusing_roots = roots
    operands = ("input", "indices")
    any_rank = True
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(
            kernel.space, is_row(kernel.root), kernel.types, machine
        ),
    }
    alternatives = {
        VectorMachine: lambda kernel, chosen, machine: (
            schedule_for_vectors(kernel.space, is_row(kernel.root), kernel.types, machine, unroll) for unroll in UNROLLS
        ),
    }
    words = "vectors along a row, or an element where each has its own index; memory is the limit"

    def refusal(self, root: ir.Operation) -> str | None:
        if root.name == "graph.embedding" and len(shape_of(root.operands[0])) == 3:
            return "a table in blocks of rows"
        if _is_shared_weight(root):
            return "a table that is another op's weight, too: the form that is stored for that op is read"
        return None

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        *operands, result = types_of(root)
        return TypeRule(tuple(operands), result, (result,))

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        return {} if root.name == "graph.embedding" else collapsed_axis(root, collapse)

    def result_sizes(self, group: Group, space: IterationSpace) -> list[ir.Value | int]:
        """The input may have more than is read of it."""
        root = group.root
        assert root is not None
        if root.name == "graph.embedding":
            return super().result_sizes(group, space)
        value, indices = root.operands
        repeats = stretches(shape_of(indices), attributes_of(root).axis)
        sources = [value if is_repeated else indices for is_repeated in repeats]
        sizes = enumerate(zip(group.shape, sources, strict=True))
        return [size_of(source, axis) if size == DYNAMIC else size for axis, (size, source) in sizes]

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        assert root is not None
        value, indices = (shape_of(operand) for operand in root.operands)
        kinds = ("parallel",) * len(result)
        if root.name == "graph.embedding":
            names = names_of([*[True] * len(indices), False])
            table = Axis({}), Axis({names[-1]: 1})
            return IterationSpace(names, kinds, tuple(result), (table, along(*names[:-1]), along(*names)))
        axis = attributes_of(root).axis
        repeats = stretches(indices, axis)
        names = names_of(joined_axes([value, points(indices, value, axis)], axis, repeats))
        accesses = picked(names, axis), repeated(names, repeats), along(*names)
        return IterationSpace(names, kinds, tuple(result), accesses)

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)


def collapsed_axis(root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
    """The axis that indices are of, in the kernel: it stays one by itself."""
    axis = attributes_of(root).axis
    return {"axis": to_attribute(next(number for number, run in enumerate(collapse.operands[0]) if axis in run))}


def _is_shared_weight(root: ir.Operation) -> bool:
    """Whether a table is a weight that something else reads: a product has it packed, and `share-packed-tables` lets
    the look-up read that form, so that the program holds it once."""
    table = operation_of(root.operands[0])
    if root.name != "graph.embedding" or table is None or table.name != "graph.load":
        return False
    return any(user.name != "graph.embedding" for user in users_of(table.results[0]))
