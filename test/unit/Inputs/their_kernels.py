"""A kernel family as another package brings it: rows of a table, which IREE would pick."""

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import shape_of
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.nest import workgroups
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.machine import VectorMachine
from terrace.mlir import arith, ir, memref


class Rows(KernelFamily):
    """`graph.embedding` of a list of indices."""

    name = "rows"
    roots = (graph.EmbeddingOp,)
    operands = ("table", "indices")
    types = {graph.EmbeddingOp: (TypeRule(("f32", "i64"), "f32", ("f32",)),)}
    schedules = {VectorMachine: lambda kernel, machine: Schedule.of({"d1": machine.lanes})}

    def refusal(self, root: ir.Operation) -> str | None:
        return None if len(shape_of(root.operands[1])) == 1 else "indices that are no list"

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        return IterationSpace(("d0", "d1"), ("parallel", "parallel"), tuple(result))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        kernel.check_schedule(tiled=("d1",), blocked=())
        table, indices, result = kernel.memory
        with workgroups(b, kernel, {}), b.for_each(0, b.size(result, 0)) as number:
            row = arith.index_cast(ir.IndexType.get(), memref.load(indices, [b.value(number)]))

            def copy(column: Index, size: int, valid: Index | None) -> None:
                tile = b.load(table, [row, column], [1, size], [-1, 1], valid=[None, valid])
                place = TilePlace((number, column), (0, 1), (1, size), (None, valid))
                store_results(b, kernel, {kernel.root.results[0]: tile}, place)

            b.tiles(0, 0, b.size(result, 1), kernel.schedule.tile("d1"), copy)


class Second(Rows):
    """Another family of the same op."""

    name = "second"


class Misnamed(Rows):
    """Registered under another name than its own."""
