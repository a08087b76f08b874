"""The family `scan`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, to_attribute
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.line_space import line_space
from terrace.lowering.kernels.scan.generator import generate
from terrace.lowering.kernels.scan.schedule import schedule_for_vectors
from terrace.lowering.kernels.type_rule import TypeRule, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine
from terrace.mlir import ir

SUMS_IN = {"f16": "f32", "bf16": "f32", "f32": "f64"}
"""What sums and products are made in, where that is wider than the elements: what PyTorch takes, too."""


class Scan(KernelFamily):
    """Running sums, products and extremes along an axis, and the places of extremes."""

    name = "scan"
    roots = (graph.ArgScanOp, graph.ScanOp)
    fusing_roots = roots
    operands = ("input",)
    schedules = {VectorMachine: lambda kernel, machine: schedule_for_vectors(kernel.space, machine)}
    alternatives = {
        VectorMachine: lambda kernel, chosen, machine: (
            schedule_for_vectors(kernel.space, machine, unroll) for unroll in (2, 4)
        ),
    }
    words = "a few vectors along a row, or several across lines; memory is the limit"

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        type_, result = types_of(root)
        if type_ not in (*reduced, *SUMS_IN):
            return None
        is_sum = attributes_of(root).kind in ("sum", "prod")
        usual = "f32" if type_ in SUMS_IN else type_
        return TypeRule((type_,), SUMS_IN.get(type_, type_) if is_sum else usual, (result,))

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        """The kernel has what is before the axis, the axis and what is behind it."""
        return {"axis": to_attribute(1)}

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        assert root is not None
        return line_space(attributes_of(root).axis, result)

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)
