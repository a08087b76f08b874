"""The family `reduce`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of, to_attribute
from terrace.lowering.kernels.alternatives import UNROLLS
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, along
from terrace.lowering.kernels.reduce.generator import generate
from terrace.lowering.kernels.reduce.schedule import schedule_for_circuit, schedule_for_vectors
from terrace.lowering.kernels.type_rule import TypeRule, all_in, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine, VectorMachine
from terrace.mlir import ir

INTEGERS = {"max": TypeRule(("i8",), "i8", ("i8",)), "sum": TypeRule(("i8",), "i32", ("i32",))}
"""The rule of integers that every target reduces, by the kind of reduction."""


class Reduce(KernelFamily):
    """Sums, means, extrema and products over any axes, which are 1 in the kernel's result."""

    name = "reduce"
    roots = (graph.ReduceOp,)
    operands = ("input",)
    any_rank = True
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(
            *_sizes_of(kernel), kernel.operand_types[0], machine
        ),
        CircuitMachine: lambda kernel, machine: schedule_for_circuit(kernel, attributes_of(kernel.root).kind, machine),
    }
    alternatives = {
        VectorMachine: lambda kernel, chosen, machine: (
            schedule_for_vectors(*_sizes_of(kernel), kernel.operand_types[0], machine, unroll) for unroll in UNROLLS
        ),
    }
    words = "several vectors in flight, enough to hide the latency of an addition"

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        types, integers = types_of(root), INTEGERS.get(attributes_of(root).kind)
        if integers is not None and integers.takes(types):
            return integers
        own = all_in(types[0], types) if types[0] in reduced else None
        return own or super().type_rule(root, reduced)

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        axes = ir.DenseI64ArrayAttr.get([axis for axis, kind in enumerate(collapse.kinds) if kind == "reduction"])
        return {"axes": axes, "keepdims": to_attribute(True)}

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        """The input's axes."""
        assert root is not None
        shape, axes = shape_of(root.operands[0]), attributes_of(root).axes
        names = tuple(f"d{axis}" for axis in range(len(shape)))
        kinds = tuple("reduction" if axis in axes else "parallel" for axis in range(len(shape)))
        written = tuple(Axis({name: int(axis not in axes)}) for axis, name in enumerate(names))
        return IterationSpace(names, kinds, tuple(shape), (along(*names), written))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)


def _sizes_of(kernel: KernelView) -> tuple[IterationSpace, str]:
    """What schedules depend on."""
    return kernel.space, str(attributes_of(kernel.root).kind)
