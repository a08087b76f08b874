"""A kernel family as another package brings it: the places of running maxima, which IREE would find."""

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.nest import workgroups
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine
from terrace.mlir import arith, ir, memref


class Rows(KernelFamily):
    """`graph.arg_scan` of maxima along the rows of a matrix without NaN."""

    name = "rows"
    roots = (graph.ArgScanOp,)
    operands = ("input",)
    takes_epilogue = False
    types = {graph.ArgScanOp: (TypeRule(("f32",), "f32", ("i64",)),)}
    schedules = {VectorMachine: lambda kernel, machine: Schedule.of({})}

    def refusal(self, root: ir.Operation) -> str | None:
        attrs, rank = attributes_of(root), len(shape_of(root.results[0]))
        return None if (rank, attrs.axis, attrs.kind) == (2, 1, "max") else "no maxima along rows"

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        return IterationSpace(("d0", "d1"), ("parallel", "parallel"), tuple(result))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        kernel.check_schedule(tiled=(), blocked=())
        memory, result = kernel.memory
        with workgroups(b, kernel, {}), b.for_each(0, b.size(result, 0)) as row:

            def step(column: Index, found: list[ir.Value]) -> list[ir.Value]:
                largest, place = found
                value, here = memref.load(memory, [b.value(row), b.value(column)]), b.value(column)
                is_larger = arith.cmpf(arith.CmpFPredicate.OGE, value, largest)
                place = arith.select(is_larger, here, place)
                number = arith.index_cast(ir.IntegerType.get_signless(64), place)
                memref.store(number, result, [b.value(row), here])
                return [arith.select(is_larger, value, largest), place]

            first = [memref.load(memory, [b.value(row), b.value(0)]), b.value(0)]
            b.reduce_all(0, b.size(result, 1), 1, first, step)


class Second(Rows):
    """Another family of the same op."""

    name = "second"


class Misnamed(Rows):
    """Registered under another name than its own."""
