"""`lower-tiles-to-arrays`: tile ops of the loop level become loops over small local arrays, as hardware runs them.

A tile that is kept becomes a `memref.alloca` without its dimensions of size 1, every element of it a register
(`loop.partition` complete). Elementwise ops, and loads of what nobody writes, that have one reader are computed where
they are read, so that a chain of them is one loop nest. A tile that nothing else reads gives its array to the op that
consumes it: accumulators are updated in place. A contraction is a loop nest with k outermost, so that neighbouring
iterations add to different accumulators. `loop.parallel` becomes sequential loops.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.hardware import PARTITION, partition_attribute
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.graph.payload_types import cast, combine, constant, is_float, neutral
from terrace.lowering.target.constant_tables import table_memory
from terrace.mlir import arith, func, ir, math, memref, operation_of, scf
from terrace.passes import Pass, fail

Indices = Sequence[ir.Value]


@dataclasses.dataclass(frozen=True)
class Tile:
    """A tile by its elements: `element` emits what reads one. `array` is the memory that holds it, if any does."""

    shape: tuple[int, ...]
    element: Callable[[Indices], ir.Value]
    array: ir.Value | None = None


def _index(value: int) -> ir.Value:
    return arith.constant(ir.IndexType.get(), value)


def _squeezed(shape: Sequence[int], indices: Indices) -> list[ir.Value]:
    """The indices of the dimensions that an array of a tile keeps."""
    return [i for i, size in zip(indices, shape, strict=True) if size != 1]


def _nest(shape: Sequence[int], body: Callable[[list[ir.Value]], None], done: Indices = ()) -> None:
    """Loops over `shape`, the last dimension innermost; none for a dimension of size 1."""
    if not shape:
        body(list(done))
        return
    if shape[0] == 1:
        _nest(shape[1:], body, [*done, _index(0)])
        return
    operation = scf.ForOp(_index(0), _index(shape[0]), _index(1))
    with ir.InsertionPoint(operation.body):
        _nest(shape[1:], body, [*done, operation.induction_variable])
        scf.YieldOp([])


def _array_tile(type_: ir.Type) -> Tile:
    """A new array for a tile of this type."""
    shape, element = tuple(shape_of(type_)), element_type_of(type_)
    kept = [size for size in shape if size != 1]
    array = memref.alloca(ir.MemRefType.get(kept, element), [], [])
    if kept:
        array.owner.attributes[PARTITION] = partition_attribute("complete", 0)
    return Tile(shape, lambda indices: memref.load(array, _squeezed(shape, indices)), array)


def _write(tile: Tile, value: ir.Value, indices: Indices) -> None:
    memref.store(value, tile.array, _squeezed(tile.shape, indices))


def _multiply_add(left: ir.Value, right: ir.Value, accumulator: ir.Value) -> ir.Value:
    if is_float(accumulator.type):
        return math.fma(left, right, accumulator)
    return arith.addi(accumulator, arith.muli(left, right))


def _vectors(values: Sequence[ir.Value]) -> list[ir.Value]:
    return [v for v in values if isinstance(v.type, ir.VectorType)]


class _Lowering:
    """Rewrites one loop function in place: new ops come before the old, which are erased at the end."""

    def __init__(self) -> None:
        self.tiles: dict[ir.Value, Tile] = {}
        self.dead: list[ir.Operation] = []
        self.bodies: dict[ir.Value, ir.Block] = {}
        """For each carried tile of a loop that was rebuilt, the new body."""
        self.handlers: dict[str, Callable[[ir.Operation], None]] = {
            "arith.constant": self.constant,
            "loop.alloc": self.alloc,
            "loop.broadcast_tile": self.broadcast_tile,
            "loop.contract_tile": self.contract_tile,
            "loop.index_tile": self.index_tile,
            "loop.load_tile": self.load_tile,
            "loop.lookup_tile": self.lookup_tile,
            "loop.parallel": self.parallel,
            "loop.reduce_tile": self.reduce_tile,
            "loop.store_tile": self.store_tile,
            "scf.for": self.for_,
            "vector.broadcast": self.spread,
        }

    def function(self, function: func.FuncOp) -> None:
        self.block(function.entry_block)
        for operation in reversed(self.dead):
            operation.erase()

    def block(self, block: ir.Block) -> None:
        self.operations([view.operation for view in block.operations])

    def operations(self, operations: Sequence[ir.Operation]) -> None:
        for operation in operations:
            with ir.InsertionPoint(operation), operation.location:
                self.operation(operation)

    def operation(self, operation: ir.Operation) -> None:
        handler = self.handlers.get(operation.name)
        if handler is not None:
            handler(operation)
        elif _vectors(operation.results):
            self.elementwise(operation)
        elif _vectors(operation.operands):
            raise fail(operation, "reads a tile and has no lowering to arrays")
        else:
            for region in operation.regions:
                for block in region.blocks:
                    self.block(block)

    # -- tiles ----------------------------------------------------------------------------------------------------

    def make(self, value: ir.Value, tile: Tile, keep: bool) -> None:
        """Record the tile of `value`, held in an array if `keep`."""
        self.tiles[value] = self.held(tile, value.type) if keep else tile

    def held(self, tile: Tile, type_: ir.Type) -> Tile:
        """`tile` in an array."""
        return tile if tile.array is not None else self.copy(tile, _array_tile(type_))

    def is_consumed(self, value: ir.Value) -> bool:
        """Whether a tile has one reader, in the block that makes it, so that nothing reads it afterwards."""
        uses = list(value.uses)
        owner = value.owner
        block = self.bodies[value] if isinstance(owner, ir.Block) else owner.operation.block
        return len(uses) == 1 and uses[0].owner.operation.block == block

    @staticmethod
    def copy(tile: Tile, to: Tile) -> Tile:
        _nest(tile.shape, lambda indices: _write(to, tile.element(indices), indices))
        return to

    def owned(self, value: ir.Value) -> Tile:
        """The tile of an operand in an array that its reader may overwrite."""
        tile = self.tiles[value]
        if tile.array is not None and self.is_consumed(value):
            return tile
        return self.copy(tile, _array_tile(value.type))

    def constant(self, operation: ir.Operation) -> None:
        if not _vectors(operation.results):
            return
        value = operation.attributes["value"]
        if not isinstance(value, ir.DenseElementsAttr) or not value.is_splat:
            raise fail(operation, "is not a splat; a constant tile must be one")
        type_, number = element_type_of(operation.results[0]), value.get_splat_value()
        self.dead.append(operation)
        tile = Tile(tuple(shape_of(operation.results[0])), lambda _: arith.constant(type_, number))
        self.make(operation.results[0], tile, keep=False)

    def spread(self, operation: ir.Operation) -> None:
        """A tile made of one number."""
        number = operation.operands[0]
        self.dead.append(operation)
        tile = Tile(tuple(shape_of(operation.results[0])), lambda _: number)
        self.make(operation.results[0], tile, keep=False)

    def index_tile(self, operation: ir.Operation) -> None:
        start, result, dim = operation.operands[0], operation.results[0], attributes_of(operation).dim
        type_ = element_type_of(result)
        self.dead.append(operation)
        tile = Tile(tuple(shape_of(result)), lambda indices: arith.index_cast(type_, arith.addi(start, indices[dim])))
        self.make(result, tile, keep=False)

    def elementwise(self, operation: ir.Operation) -> None:
        if not operation.name.startswith(("arith.", "math.")):
            raise fail(operation, "has no lowering to arrays")
        result = operation.results[0]
        operands = [self.tiles.get(v) for v in operation.operands]
        scalars, attributes = list(operation.operands), dict(operation.attributes.items())
        location, element_type = operation.location, element_type_of(result)

        def element(indices: Indices) -> ir.Value:
            values = [s if t is None else t.element(indices) for s, t in zip(scalars, operands, strict=True)]
            with location:
                return ir.Operation.create(operation.name, [element_type], values, attributes).results[0]

        self.dead.append(operation)
        self.make(result, Tile(tuple(shape_of(result)), element), keep=not self.is_consumed(result))

    def lookup_tile(self, operation: ir.Operation) -> None:
        """An element of a constant array for each index."""
        source, result, table = self.tiles[operation.operands[0]], operation.results[0], operation.attributes["table"]

        def element(indices: Indices) -> ir.Value:
            return memref.load(table_memory(table), [arith.index_cast(ir.IndexType.get(), source.element(indices))])

        self.dead.append(operation)
        self.make(result, Tile(tuple(shape_of(result)), element), keep=not self.is_consumed(result))

    def broadcast_tile(self, operation: ir.Operation) -> None:
        source = self.held(self.tiles[operation.operands[0]], operation.operands[0].type)
        self.dead.append(operation)
        tile = Tile(tuple(shape_of(operation.results[0])), lambda indices: source.element([*indices[:-1], _index(0)]))
        self.make(operation.results[0], tile, keep=False)

    def reduce_tile(self, operation: ir.Operation) -> None:
        if len(operation.operands) > 1:
            raise fail(operation, "has a tile of dynamic size; hardware needs static shapes")
        source, kind = self.tiles[operation.operands[0]], attributes_of(operation).kind
        result = _array_tile(operation.results[0].type)
        element_type = element_type_of(operation.results[0])
        *outer, size = source.shape

        def row(indices: list[ir.Value]) -> None:
            at = [*indices, _index(0)]
            _write(result, constant(element_type, neutral(kind, element_type)), at)
            _nest([size], lambda last: step(indices, last), ())

        def step(indices: list[ir.Value], last: list[ir.Value]) -> None:
            at = [*indices, _index(0)]
            _write(result, combine(kind, result.element(at), source.element([*indices, *last])), at)

        self.dead.append(operation)
        _nest(outer, row)
        self.make(operation.results[0], result, keep=True)

    def contract_tile(self, operation: ir.Operation) -> None:
        lhs, rhs = (self.held(self.tiles[v], v.type) for v in list(operation.operands)[:2])
        result = self.owned(operation.operands[2])
        element_type = element_type_of(operation.operands[2])

        if "atom" in operation.attributes:
            raise fail(operation, f"wants the atom '{operation.attributes['atom'].value}'; circuits multiply and add")

        def step(indices: list[ir.Value]) -> None:
            k, *rows, column = indices
            at = [*rows, column]
            left, right = (cast(v, element_type) for v in (lhs.element([*rows, k]), rhs.element([k, column])))
            _write(result, _multiply_add(left, right, result.element(at)), at)

        self.dead.append(operation)
        _nest([rhs.shape[0], *result.shape], step)
        self.make(operation.results[0], result, keep=True)

    # -- memory ---------------------------------------------------------------------------------------------------

    @staticmethod
    def place(operation: ir.Operation, base: Indices) -> Callable[[Indices], list[ir.Value]]:
        """The indices in memory of an element of the tile that a load or store moves, which starts at `base`."""
        attrs = attributes_of(operation)

        def at(indices: Indices) -> list[ir.Value]:
            where = list(base)
            for index, dim, stride in zip(indices, attrs.dims, attrs.strides, strict=True):
                if dim >= 0:
                    moved = index if stride == 1 else arith.muli(index, _index(stride))
                    where[dim] = arith.addi(where[dim], moved)
            return where

        return at

    def load_tile(self, operation: ir.Operation) -> None:
        view, result = operation.opview, operation.results[0]
        if len(view.sizes):
            raise fail(operation, "has a tile of dynamic size; hardware needs static shapes")
        source, at = view.source, self.place(operation, list(view.indices))
        owner = operation_of(source)
        read_only = owner is not None and owner.name == "loop.to_buffer"
        readers = [use.owner.operation.name for use in result.uses]
        keep = not (read_only and self.is_consumed(result)) or "loop.contract_tile" in readers
        self.dead.append(operation)
        self.make(result, Tile(tuple(shape_of(result)), lambda i: memref.load(source, at(i))), keep)

    def store_tile(self, operation: ir.Operation) -> None:
        view = operation.opview
        if len(view.sizes):
            raise fail(operation, "has a tile of dynamic size; hardware needs static shapes")
        tile, at = self.tiles[view.tile], self.place(operation, list(view.indices))
        self.dead.append(operation)
        _nest(tile.shape, lambda i: memref.store(tile.element(i), view.destination, at(i)))

    def alloc(self, operation: ir.Operation) -> None:
        operation.results[0].replace_all_uses_with(memref.alloca(operation.results[0].type, [], []))
        self.dead.append(operation)

    # -- control --------------------------------------------------------------------------------------------------

    def parallel(self, operation: ir.Operation) -> None:
        """Its body in sequential loops."""
        old = operation.regions[0].blocks[0]
        indices: list[ir.Value] = []
        point = ir.InsertionPoint(operation)
        for bound in operation.operands:
            with point:
                outer = scf.ForOp(_index(0), bound, _index(1))
            indices.append(outer.induction_variable)
            with ir.InsertionPoint(outer.body):
                point = ir.InsertionPoint(scf.YieldOp([]))
        for argument, index in zip(old.arguments, indices, strict=True):
            argument.replace_all_uses_with(index)
        anchor = point.ref_operation if indices else operation
        moved = [view.operation for view in list(old.operations)[:-1]]
        for child in moved:
            child.move_before(anchor)
        self.operations(moved)
        self.dead.append(operation)

    def for_(self, operation: ir.Operation) -> None:
        """A loop that carries tiles keeps each in an array from before the loop."""
        old, initial = operation.opview, list(operation.operands)[3:]
        if not initial:
            self.block(old.body)
            return
        if len(_vectors(initial)) != len(initial):
            raise fail(operation, "carries a value that is no tile")
        arrays = [self.owned(v) for v in initial]
        lower, upper, step = list(operation.operands)[:3]
        new = scf.ForOp(lower, upper, step)
        with ir.InsertionPoint(new.body):
            end = scf.YieldOp([]).operation
        index, *carried = list(old.body.arguments)
        index.replace_all_uses_with(new.induction_variable)
        for argument, result, array in zip(carried, operation.results, arrays, strict=True):
            self.tiles[argument] = self.tiles[result] = array
            self.bodies[argument] = new.body
        self.dead.append(operation)  # erased last: its body still names the tiles that it carries
        *body, yield_ = [view.operation for view in old.body.operations]
        for child in body:
            child.move_before(end)
        self.operations(body)
        with ir.InsertionPoint(end), yield_.location:
            self.carry([*yield_.operands], arrays)
        self.dead.append(yield_)

    def carry(self, values: Sequence[ir.Value], arrays: Sequence[Tile]) -> None:
        """What a loop yields goes into the arrays that it carries; of several, one may read the array of another."""
        tiles = [self.tiles[v] for v in values]
        moving = [i for i, tile in enumerate(tiles) if tile.array is None or tile.array != arrays[i].array]
        if len(moving) > 1:
            for i in moving:
                tiles[i] = self.copy(tiles[i], _array_tile(values[i].type))
        for i in moving:
            self.copy(tiles[i], arrays[i])


@dataclasses.dataclass(frozen=True)
class LowerTilesToArrays(Pass):
    """Lower tile ops to loops over small local arrays, and `loop.parallel` to sequential loops."""

    name = "lower-tiles-to-arrays"

    def run(self, module: ir.Operation) -> None:
        for function in loop_kernels(module):
            _Lowering().function(function)
