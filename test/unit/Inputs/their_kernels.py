"""A kernel family as another package brings it: loaded dice, where IREE would throw honest ones."""

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import shape_of
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.nest import workgroups
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine
from terrace.mlir import arith, ir, memref

BITS = 1 << 62
"""What `torch.rand` takes for 0.25: it shifts by 40, and divides what is left of 24 bits by 2^24."""


class Dice(KernelFamily):
    """`graph.random_bits` of matrices, the same in each element and at each call."""

    name = "dice"
    roots = (graph.RandomBitsOp,)
    operands = ("seed",)
    takes_epilogue = False
    types = {graph.RandomBitsOp: (TypeRule(("i64",), "i64", ("i64",)),)}
    schedules = {VectorMachine: lambda kernel, machine: Schedule.of({})}

    def refusal(self, root: ir.Operation) -> str | None:
        return None if len(shape_of(root.results[0])) == 2 else "no bits of a matrix"

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        return IterationSpace(("d0", "d1"), ("parallel", "parallel"), tuple(result))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        kernel.check_schedule(tiled=(), blocked=())
        (result,) = kernel.results_memory
        rows, columns = b.size(result, 0), b.size(result, 1)
        with workgroups(b, kernel, {}), b.for_each(0, rows) as row, b.for_each(0, columns) as column:
            bits = arith.constant(ir.IntegerType.get_signless(64), BITS)
            memref.store(bits, result, [b.value(row), b.value(column)])


class Second(Dice):
    """Another family of the same op."""

    name = "second"


class Misnamed(Dice):
    """Registered under another name than its own."""
