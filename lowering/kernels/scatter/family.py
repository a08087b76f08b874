"""The family `scatter`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of
from terrace.dialects.graph_indexed import points, stretches
from terrace.lowering.graph.builders import size_of, users_of
from terrace.lowering.kernels.alternatives import UNROLLS
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.gather.family import collapsed_axis
from terrace.lowering.kernels.gather.space import has_rows, joined_axes, names_of, picked, repeated
from terrace.lowering.kernels.group import Group
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.scatter.generator import generate
from terrace.lowering.kernels.scatter.schedule import schedule_for_vectors
from terrace.lowering.kernels.type_rule import TypeRule, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC, ir, operation_of, source_of


class Scatter(KernelFamily):
    """Elements, or rows, of a tensor updated at indices that are known when the program runs."""

    name = "scatter"
    roots = (graph.ScatterOp,)
    operands = ("input", "indices", "source")
    any_rank = True
    takes_epilogue = False
    updates_first = True
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(kernel.space, has_rows(kernel.root), machine),
    }
    alternatives = {
        VectorMachine: lambda kernel, chosen, machine: (
            schedule_for_vectors(kernel.space, has_rows(kernel.root), machine, unroll) for unroll in UNROLLS
        ),
    }
    words = "vectors along a row, or an element where each has its own index; one point after another along the axis"

    def must_copy_first(self, root: ir.Operation) -> bool:
        target, *others = map(_memory_of, root.operands)
        return target in others or _is_computed_and_read(target, root)

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        *operands, result = types_of(root)
        return TypeRule(tuple(operands), result, (result,))

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        return collapsed_axis(root, collapse)

    def result_sizes(self, group: Group, space: IterationSpace) -> list[ir.Value | int]:
        """The input's: there may be fewer points."""
        value = group.root_operands[0]
        return [size_of(value, axis) if size == DYNAMIC else size for axis, size in enumerate(shape_of(value))]

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        """The points: what is added up along the axis of the indices meets."""
        assert root is not None
        value, indices, source = (shape_of(operand) for operand in root.operands)
        axis = attributes_of(root).axis
        sizes = points(indices, source, axis)
        is_one = [size == 1 for size in source]
        read = [count if one else size for one, size, count in zip(is_one, source, sizes, strict=True)]
        names = names_of(joined_axes([value, read, sizes], axis))
        kinds = tuple("reduction" if place == axis else "parallel" for place in range(len(names)))
        written = picked(names, axis)
        accesses = written, repeated(names, stretches(indices, axis)), repeated(names, is_one), written
        return IterationSpace(names, kinds, tuple(sizes), accesses)

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)


_VIEWS = tuple(f"graph.{name}" for name in ("broadcast", "cast", "pad", "permute", "reshape", "slice")) + tuple(
    f"tensor.{name}" for name in ("cast", "collapse_shape", "expand_shape", "extract_slice", "reshape")
)
"""What may be a view of its first operand, or become one where it moves nothing."""


def _memory_of(value: ir.Value) -> ir.Value | ir.Attribute:
    """What stands for the memory that a tensor may lie in: the value that it is a view of, or the weight's symbol."""
    source = source_of(value, _VIEWS)
    producer = operation_of(source)
    return producer.attributes["symbol"] if producer is not None and producer.name == "graph.load" else source


def _is_computed_and_read(memory: ir.Value | ir.Attribute, root: ir.Operation) -> bool:
    """Whether a tensor that an op computes, or a view of it, is read by others than `root`, not surely before it.

    IREE 3.13 was seen to let one of them read after the update in place. What comes in, it copies before. A kernel that
    `root` waits for has read it by then: old elements that are chosen again where a check fails, say.
    """
    if not isinstance(memory, ir.Value) or operation_of(memory) is None:
        return False
    readers = _readers(memory) - {root}
    return bool(readers) and not readers <= {op for op in _awaited(root) if op.name == "func.call"}


def _readers(value: ir.Value) -> set[ir.Operation]:
    """What reads a tensor, or a view of it."""
    found = set[ir.Operation]()
    for user in users_of(value):
        is_view = user.name in _VIEWS and user.operands[0] == value
        found |= _readers(user.results[0]) if is_view else {user}
    return found


def _awaited(root: ir.Operation) -> set[ir.Operation]:
    """The ops that `root` gets something from, over any number of steps."""
    found = set[ir.Operation]()
    pending = [root]
    while pending:
        makers = {maker for value in pending.pop().operands if (maker := operation_of(value)) is not None} - found
        found |= makers
        pending += makers
    return found
