"""The family `resample`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.alternatives import UNROLLS
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.gather.family import collapsed_axis
from terrace.lowering.kernels.gather.space import joined_axes, names_of, picked
from terrace.lowering.kernels.iteration_space import IterationSpace, along
from terrace.lowering.kernels.resample.generator import generate
from terrace.lowering.kernels.resample.schedule import schedule_for_vectors
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.type_rule import TypeRule, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine
from terrace.mlir import ir


def _schedule(kernel: KernelView, machine: VectorMachine) -> Schedule:
    width = shape_of(kernel.root.operands[0])[-1]
    return schedule_for_vectors(kernel.space, attributes_of(kernel.root).axis, width, kernel.types, machine)


def _alternatives(kernel: KernelView, chosen: Schedule, machine: VectorMachine) -> Iterator[Schedule]:
    axis, width = attributes_of(kernel.root).axis, shape_of(kernel.root.operands[0])[-1]
    for unroll in UNROLLS:
        yield schedule_for_vectors(kernel.space, axis, width, kernel.types, machine, unroll)


class Resample(KernelFamily):
    """Weighted sums of elements along an axis, whose places and weights all lines along it share."""

    name = "resample"
    roots = (graph.ResampleOp,)
    fusing_roots = roots
    operands = ("input", "indices", "weights")
    schedules = {VectorMachine: _schedule}
    alternatives = {VectorMachine: _alternatives}
    words = "vectors along what lies behind the axis, or across the lines along it, which are transposed"

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        *operands, result = types_of(root)
        weights = operands[-1]
        return TypeRule(tuple(operands), weights, (result,)) if weights in ("f32", *reduced) else None

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        return collapsed_axis(root, collapse)

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        assert root is not None
        value, indices, _ = (shape_of(operand) for operand in root.operands)
        axis, term = attributes_of(root).axis, "t"
        names = names_of(joined_axes([value], axis, [True] * len(value)))
        kinds = (*("parallel",) * len(names), "reduction")
        table = along(names[axis], term)
        accesses = picked(names, axis), table, table, along(*names)
        return IterationSpace((*names, term), kinds, (*result, indices[1]), accesses)

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)
