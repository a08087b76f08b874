"""`lower-tiles-to-invocations`: tile ops of the loop level become scalar code of each invocation of a workgroup.

Every tile is spread over the invocations (see `fragment.py`); each op on tiles is repeated for each element that an
invocation holds. A contraction reads, of its operands, the rows and the columns that belong to the invocation's part of
the accumulator, whole along k. A tile that an op wants spread otherwise than it was computed goes through memory of the
workgroup. Local memory is such, too, with a barrier wherever what one invocation wrote may be read by another, or be
overwritten while another reads it. The conditions and bounds of loops at the loop level are the same for all
invocations of a workgroup, so that all of them reach every barrier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from math import prod

from terrace.dialects.base import attributes_of, to_attribute
from terrace.dialects.hardware import SUBGROUP_SIZE, WORKGROUP_SIZE
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.graph.payload_types import cast, multiply_add
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.target.description import target_of
from terrace.lowering.target.gpu.fragment import Fragment, FragmentType, Grid, balanced_grid, row_grid
from terrace.lowering.target.gpu.fragment_memory import FragmentMemory, elements
from terrace.lowering.target.gpu.workgroup_reduction import WORKGROUP, reduce_over_workgroup, reduce_rows
from terrace.lowering.target.local_memory import require_local_memory
from terrace.lowering.target.requantize_steps import expand_requantize_tiles
from terrace.lowering.target.tile_access import Access, index_constant
from terrace.lowering.target.tile_parts import PartsRebuilder
from terrace.lowering.target.tile_rebuilder import shape_of_tile
from terrace.mlir import arith, func, gpu, ir, memref, operation_of, walk
from terrace.passes import Pass, fail
from terrace.target import GpuDescription


def _is_local(memory: ir.Value) -> bool:
    return ir.MemRefType(memory.type).memory_space is not None


def _touched(operation: ir.Operation) -> frozenset[str]:
    """Whether an op, or what is nested in it, reads or writes local memory: a set of "read" and "write"."""
    kinds = set()
    for op in [operation, *walk(operation)]:
        if op.name == "loop.load_tile" and _is_local(op.operands[0]):
            kinds.add("read")
        if op.name == "loop.store_tile" and _is_local(op.operands[1]):
            kinds.add("write")
    return frozenset(kinds)


class _Lowering(PartsRebuilder[Fragment, FragmentType]):
    """Rebuilds one function for a workgroup of that many invocations."""

    machine = "invocations of a GPU"

    def __init__(self, invocations: int) -> None:
        super().__init__()
        self.invocations = invocations
        self.accumulators: dict[tuple[int, ...], Grid] = {}
        self.pending: frozenset[str] = frozenset()
        """How local memory may have been used since the last barrier."""
        self.tables: dict[ir.Attribute, ir.Value] = {}
        self.scratch: dict[tuple[tuple[int, ...], ir.Type], ir.Value] = {}
        """Memory by shape and type, for what invocations exchange; a barrier stands before what is written to it."""
        self.handlers |= {
            "loop.alloc": self.alloc,
            "loop.broadcast_tile": self.broadcast_tile,
            "loop.contract_tile": self.contract_tile,
            "loop.index_tile": self.index_tile,
            "loop.load_tile": self.load_tile,
            "loop.lookup_tile": self.lookup_tile,
            "loop.parallel": self.parallel,
            "loop.reduce_tile": self.reduce_tile,
            "loop.store_tile": self.store_tile,
            "memref.prefetch": lambda operation: None,  # other workgroups run while one waits for memory
        }

    def lower(self, function: func.FuncOp) -> func.FuncOp:
        for op in walk(function.operation):
            if op.name == "loop.contract_tile":
                shape = shape_of_tile(op.results[0].type)
                self.accumulators[shape] = balanced_grid(prod(shape[:-1]), shape[-1], self.invocations)
        return self.function(function)

    # -- tiles ----------------------------------------------------------------------------------------------------

    def holding(self, type_: ir.Type) -> FragmentType:
        """How a tile is spread: tiles of the shape of an accumulator near to square, others along rows."""
        shape, element_type = shape_of_tile(type_), ir.VectorType(type_).element_type
        whole = FragmentType(shape, element_type, Grid(1, 1))
        grid = self.accumulators.get(shape) or row_grid(whole.tile_columns, self.invocations)
        return dataclasses.replace(whole, grid=grid)

    def retyped(self, holding: FragmentType, type_: ir.Type) -> FragmentType:
        return dataclasses.replace(holding, element_type=ir.VectorType(type_).element_type)

    def part_types(self, holding: FragmentType) -> list[ir.Type]:
        return [holding.element_type] * holding.count

    def make_tile(self, holding: FragmentType, values: list[ir.Value]) -> Fragment:
        return Fragment(holding, values)

    def convert(self, tile: Fragment, holding: FragmentType) -> Fragment:
        """Through memory that the workgroup shares, but for a single element, which all hold."""
        if prod(holding.shape) == 1:
            return Fragment(holding, tile.values)
        rank = len(holding.shape)
        memory, zeros = self.exchange(holding.shape, holding.element_type), [self.memory.b.value(0)] * rank
        access = Access(memory, indices=zeros, sizes=[], dims=list(range(rank)), strides=[1] * rank)
        gpu.barrier()
        self.memory.store(access, tile)
        gpu.barrier()
        self.pending = frozenset()
        return self.memory.load(access, holding)

    def wanted(self, operation: ir.Operation, number: int) -> FragmentType | None:
        """Operand 0 or 1 of a contraction is spread as the accumulator's rows or columns, whole along k. Each of
        several rows that are reduced belongs to one invocation; what is repeated along rows is spread as those are.
        """
        usual = self.holding(operation.operands[number].type)
        if operation.name == "loop.contract_tile" and number < 2:
            grid = self.accumulators[shape_of_tile(operation.results[0].type)]
            return dataclasses.replace(usual, grid=grid, spread_rows=number == 0, spread_columns=number == 1)
        if operation.name == "loop.reduce_tile" and usual.tile_rows > 1:
            return dataclasses.replace(usual, grid=Grid(self.invocations, 1), spread_columns=False)
        if operation.name == "loop.broadcast_tile":
            return dataclasses.replace(usual, grid=self.holding(operation.results[0].type).grid)
        return None

    # -- order of accesses to local memory ------------------------------------------------------------------------

    def before(self, kinds: Iterable[str]) -> None:
        """A barrier, if what comes now conflicts with what came since the last one; stores in between are disjoint."""
        conflicts = {"read": "write", "write": "read"}
        if any(conflicts[kind] in self.pending for kind in kinds):
            gpu.barrier()
            self.pending = frozenset()

    def region(self, old: ir.Region, new: ir.Region) -> None:
        before = self.pending
        super().region(old, new)
        self.pending |= before  # the region may not run

    def for_(self, operation: ir.Operation) -> None:
        touched = _touched(operation)
        self.before(touched)
        before = self.pending
        self.pending |= touched  # by the iteration before
        super().for_(operation)
        self.pending |= before

    # -- ops ------------------------------------------------------------------------------------------------------

    def parallel(self, operation: ir.Operation) -> None:
        """Workgroups stay as they are; what invocations need of constants stands at the top of the body."""
        new = ir.Operation.create(
            operation.name,
            [],
            [self.plain(v) for v in operation.operands],
            dict(operation.attributes.items()),
            regions=1,
        )
        old = operation.regions[0].blocks[0]
        block = new.regions[0].blocks.append(*[a.type for a in old.arguments])
        self.values.update(zip(old.arguments, block.arguments, strict=True))
        self.body = block
        self.memory = FragmentMemory(LoopBuilder(block))
        with ir.InsertionPoint(block):
            self.block(old)

    def alloc(self, operation: ir.Operation) -> None:
        type_ = ir.MemRefType(operation.results[0].type)
        self.values[operation.results[0]] = self.workgroup_memory(type_.shape, type_.element_type)

    def table(self, elements: ir.DenseElementsAttr) -> ir.Value:
        """The memory of a constant table, which the first invocation fills: SPIR-V has no constants in memory."""
        if elements not in self.tables:
            type_ = ir.ShapedType(elements.type)
            with ir.InsertionPoint.at_block_begin(self.body):
                memory = self.tables[elements] = self.workgroup_memory(type_.shape, type_.element_type)
                number = gpu.thread_id(gpu.Dimension.x)
                with self.memory.b.when(arith.cmpi(arith.CmpIPredicate.eq, number, index_constant(0))):
                    for at, element in enumerate(elements):
                        memref.store(arith.constant(type_.element_type, element), memory, [index_constant(at)])
                gpu.barrier()
        return self.tables[elements]

    def exchange(self, shape: tuple[int, ...], element_type: ir.Type) -> ir.Value:
        key = (shape, element_type)
        if key not in self.scratch:
            self.scratch[key] = self.workgroup_memory(*key)
        return self.scratch[key]

    def workgroup_memory(self, shape: Sequence[int], element_type: ir.Type) -> ir.Value:
        type_ = ir.MemRefType.get(shape, element_type, memory_space=ir.Attribute.parse(WORKGROUP))
        with ir.InsertionPoint.at_block_begin(self.body):
            return memref.alloc(type_, [], [])

    def load_tile(self, operation: ir.Operation) -> None:
        self.before(_touched(operation))
        self.pending |= _touched(operation)
        tile = operation.results[0]
        access = Access.of(operation.opview, self.plain)
        owner = operation_of(operation.operands[0])
        if owner is not None and owner.name == "memref.alloc":
            raise fail(operation, "reads a result of its kernel, which other invocations may not have written yet")
        self.tiles[tile] = {holding: self.memory.load(access, holding) for holding in self.wants_of(tile)}

    def store_tile(self, operation: ir.Operation) -> None:
        self.before(_touched(operation))
        self.pending |= _touched(operation)
        self.memory.store(Access.of(operation.opview, self.plain), self.tile(operation.operands[0]))

    def contract_tile(self, operation: ir.Operation) -> None:
        self.refuse_atom(operation)
        accumulator = self.tile(operation.operands[2])
        type_ = accumulator.type.element_type
        lhs, rhs = (self.tile(operation.operands[i], self.wanted(operation, i)) for i in (0, 1))
        values = list(accumulator.values)
        columns = accumulator.type.columns
        for k in range(rhs.type.rows):
            for at in range(len(values)):
                row, column = divmod(at, columns)
                left, right = (cast(v, type_) for v in (lhs.element(row, k), rhs.element(k, column)))
                values[at] = multiply_add(left, right, values[at])
        self.set_tile(operation.results[0], Fragment(accumulator.type, values))

    def lookup_tile(self, operation: ir.Operation) -> None:
        tile, holding = self.tile(operation.operands[0]), self.holding(operation.results[0].type)
        memory = self.table(operation.attributes["table"])
        values = [memref.load(memory, [arith.index_cast(ir.IndexType.get(), value)]) for value in tile.values]
        self.set_tile(operation.results[0], self.make_tile(holding, values))

    def reduce_tile(self, operation: ir.Operation) -> None:
        tile = self.tile(operation.operands[0], self.wanted(operation, 0))
        sizes = [self.plain(v) for v in list(operation.operands)[1:]]
        kind, result = operation.attributes["kind"].value, operation.results[0]
        usual = self.holding(result.type)
        if tile.type.tile_rows == 1:
            scratch = self.exchange((self.invocations,), usual.element_type)
            number = reduce_over_workgroup(self.memory, tile, sizes, kind, scratch)
            self.pending = frozenset()
            self.set_tile(result, self.make_tile(usual, [number]))
            return
        made = dataclasses.replace(usual, grid=tile.type.grid)
        rows = self.make_tile(made, reduce_rows(self.memory, tile, sizes, kind))
        self.set_tile(result, rows if made == usual else self.convert(rows, usual))

    def broadcast_tile(self, operation: ir.Operation) -> None:
        tile, holding = (
            self.tile(operation.operands[0], self.wanted(operation, 0)),
            self.holding(operation.results[0].type),
        )
        values = [tile.element(row, 0) for row, _ in elements(holding)]
        self.set_tile(operation.results[0], self.make_tile(holding, values))

    def index_tile(self, operation: ir.Operation) -> None:
        start, dim, result = self.plain(operation.operands[0]), attributes_of(operation).dim, operation.results[0]
        self.tiles[result] = {
            holding: self.make_tile(holding, self.memory.positions(holding, dim, start))
            for holding in self.wants_of(result)
        }


def _require_workgroups(kernel: func.FuncOp) -> None:
    """Refuse work on tiles that no workgroup does."""
    for view in kernel.entry_block.operations:
        outside = [] if view.operation.name == "loop.parallel" else [view.operation, *walk(view.operation)]
        for operation in outside:
            if operation.name.startswith("loop.") and operation.name not in ("loop.to_buffer", "loop.to_tensor"):
                raise fail(operation, "must stand in the kernel's loop.parallel, whose bodies workgroups run")


@dataclasses.dataclass(frozen=True)
class LowerTilesToInvocations(Pass):
    """Spread tiles over the invocations of a workgroup, and local memory over its shared memory."""

    name = "lower-tiles-to-invocations"
    workgroup_size: int = 64
    subgroup_size: int = 0

    def run(self, module: ir.Operation) -> None:
        if self.workgroup_size < 1 or self.workgroup_size & (self.workgroup_size - 1):
            raise fail(module, f"workgroup-size must be a power of two, got {self.workgroup_size}")
        if self.subgroup_size < 0 or (self.subgroup_size and self.workgroup_size % self.subgroup_size):
            raise fail(module, f"subgroup-size must divide workgroup-size, got {self.subgroup_size}")
        target = target_of(module)
        for kernel in loop_kernels(module):
            _require_workgroups(kernel)
            expand_requantize_tiles(kernel)
            function = _Lowering(self.workgroup_size).lower(kernel)
            if target and isinstance(target.gpu, GpuDescription):  # with what invocations exchange tiles by
                require_local_memory(function, target.gpu.machine)
            function.attributes[WORKGROUP_SIZE] = to_attribute(self.workgroup_size)
            if self.subgroup_size:
                function.attributes[SUBGROUP_SIZE] = to_attribute(self.subgroup_size)
