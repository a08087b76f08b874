"""The family `pool2d`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.kernels.alternatives import UNROLLS
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, along
from terrace.lowering.kernels.pool2d.generator import generate
from terrace.lowering.kernels.pool2d.schedule import (
    ASSUMED_SIZE,
    schedule_for_circuit,
    schedule_for_vectors,
    schedules_for_circuit,
)
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine, VectorMachine
from terrace.mlir import DYNAMIC, ir

DIMS = ("n", "oh", "ow", "c", "kh", "kw")


class Pool2d(KernelFamily):
    """Maxima, means and sums of windows of images in NHWC."""

    name = "pool2d"
    roots = (graph.AvgPool2dOp, graph.MaxPool2dOp, graph.SumPool2dOp)
    fusing_roots = (graph.SumPool2dOp,)
    operands = ("input",)
    assumed_size = ASSUMED_SIZE
    follows_examples = True
    wide_types = ("f64", "i8", "i16", "i32", "i64")
    types = {
        graph.MaxPool2dOp: (TypeRule(("i8",), "i8", ("i8",)),),
        graph.SumPool2dOp: (TypeRule(("i8",), "i32", ("i32",)),),
    }
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(
            kernel.space, attributes_of(kernel.root), kernel.operand_types[0], machine
        ),
        CircuitMachine: lambda kernel, machine: schedule_for_circuit(kernel.space),
    }
    alternatives = {
        CircuitMachine: lambda kernel, chosen, machine: schedules_for_circuit(kernel, machine),
        VectorMachine: lambda kernel, chosen, machine: (
            schedule_for_vectors(kernel.space, attributes_of(kernel.root), kernel.operand_types[0], machine, unroll)
            for unroll in UNROLLS
        ),
    }
    words = "several vectors of channels in flight; loads are the limit"

    def refusal(self, root: ir.Operation) -> str | None:
        attrs = attributes_of(root)
        if attrs.layout != "NHWC":
            return "layout NCHW; choose-layout makes it NHWC"
        if attrs.ceil_mode and DYNAMIC in shape_of(root.operands[0])[1:3]:
            return "ceil_mode over an image of dynamic size"
        is_float = isinstance(element_type_of(root.results[0]), ir.FloatType)
        return None if is_float or root.name != "graph.avg_pool2d" else "a mean of integers"

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        assert root is not None
        attrs = attributes_of(root)
        (top, bottom, left, right), (dy, dx), (sy, sx) = attrs.padding, attrs.dilations, attrs.strides
        rows, columns = Axis({"oh": sy, "kh": dy}, top, bottom), Axis({"ow": sx, "kw": dx}, left, right)
        accesses = ((Axis({"n": 1}), rows, columns, Axis({"c": 1})), along("n", "oh", "ow", "c"))
        return IterationSpace(DIMS, ("parallel",) * 4 + ("reduction",) * 2, (*result, *attrs.kernel), accesses)

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)
