"""The family `reduce`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of, to_attribute
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.collapse import Partition
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.group import Group
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, along
from terrace.lowering.kernels.reduce.generator import generate
from terrace.lowering.kernels.reduce.schedule import schedule_for_circuit, schedule_for_vectors
from terrace.lowering.kernels.type_rule import TypeRule, all_in, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine, VectorMachine
from terrace.mlir import ir

INTEGERS = {"max": TypeRule(("i8",), "i8", ("i8",)), "sum": TypeRule(("i8",), "i32", ("i32",))}
"""The rule of integers that every target reduces, by the kind of reduction."""

Runs = list[tuple[bool, tuple[int, ...]]]
"""The input's axes in runs that are all reduced (true) or all stay, which each become one dimension of the kernel."""


class Reduce(KernelFamily):
    """Sums, means, extrema and products over any axes, which are 1 in the kernel's result."""

    name = "reduce"
    roots = (graph.ReduceOp,)
    operands = ("input",)
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(
            *_sizes_of(kernel), kernel.operand_types[0], machine
        ),
        CircuitMachine: lambda kernel, machine: schedule_for_circuit(*_sizes_of(kernel)),
    }
    words = "several vectors in flight, enough to hide the latency of an addition"

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        types, integers = types_of(root), INTEGERS.get(attributes_of(root).kind)
        if integers is not None and integers.takes(types):
            return integers
        own = all_in(types[0], types) if types[0] in reduced else None
        return own or super().type_rule(root, reduced)

    def partition(self, group: Group) -> Partition:
        """The runs in the result's axes; none of them where a reduced axis is gone: the kernel's result has a 1."""
        assert group.root is not None
        keepdims, position, partition = attributes_of(group.root).keepdims, 0, list[tuple[int, ...]]()
        for is_reduced, run in _runs(group):
            count = len(run) if keepdims or not is_reduced else 0
            partition.append(tuple(range(position, position + count)))
            position += count
        return tuple(partition)

    def operand_partition(self, group: Group, number: int) -> Partition:
        return tuple(run for _, run in _runs(group))

    def collapsed_attributes(self, group: Group) -> dict[str, ir.Attribute]:
        axes = ir.DenseI64ArrayAttr.get([axis for axis, (is_reduced, _) in enumerate(_runs(group)) if is_reduced])
        return {"axes": axes, "keepdims": to_attribute(True)}

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        """The input's axes."""
        assert root is not None
        shape, attrs = shape_of(root.operands[0]), attributes_of(root)
        names = tuple(f"d{axis}" for axis in range(len(shape)))
        kinds = tuple("reduction" if axis in attrs.axes else "parallel" for axis in range(len(shape)))
        written = tuple(
            Axis({} if kind == "reduction" else {name: 1})
            for name, kind in zip(names, kinds, strict=True)
            if attrs.keepdims or kind == "parallel"
        )
        return IterationSpace(names, kinds, tuple(shape), (along(*names), written))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)


def _sizes_of(kernel: KernelView) -> tuple[IterationSpace, str]:
    """What schedules depend on."""
    return kernel.space, str(attributes_of(kernel.root).kind)


def _runs(group: Group) -> Runs:
    """Axes that stay are merged only if the group is the reduction alone: other operands may not have them all."""
    assert group.root is not None
    axes, is_alone = attributes_of(group.root).axes, len(group.operations) == 1
    runs: Runs = []
    for axis in range(len(shape_of(group.root.operands[0]))):
        is_reduced = axis in axes
        if runs and runs[-1][0] == is_reduced and (is_reduced or is_alone):
            runs[-1] = (is_reduced, (*runs[-1][1], axis))
        else:
            runs.append((is_reduced, (axis,)))
    return runs
