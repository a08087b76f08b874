"""`lower-tiles-to-vector`: tile ops of the loop level become native vectors of a CPU.

A tile [r..., c] becomes r rows of pieces, each a 1-D vector of the machine's lanes (the last one narrower or masked, a
single element a scalar). Every op on tiles is repeated for each piece, loop-carried tiles become that many loop-carried
vectors, and a contraction becomes an outer product of scalars of lhs, broadcast, with the pieces of rhs. What is not a
tile is copied unchanged. Each function is rebuilt beside the old one, which is then erased.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from terrace.dialects.base import shape_of
from terrace.lowering.target.cpu.tile import Piece, Tile, TileType
from terrace.lowering.target.cpu.tile_memory import TileMemory
from terrace.lowering.target.cpu.tile_reduction import reduce_row
from terrace.mlir import arith, func, ir, math, scf, vector
from terrace.passes import Pass, fail


class _Lowering:
    """Rebuilds one function; `values` maps each old value to its new value or to its tile of pieces."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.values: dict[ir.Value, ir.Value | Tile] = {}
        self.memory = TileMemory()
        self.handlers = {
            "loop.load_tile": self.load_tile,
            "loop.store_tile": self.store_tile,
            "loop.contract_tile": self.contract_tile,
            "loop.reduce_tile": self.reduce_tile,
            "loop.broadcast_tile": self.broadcast_tile,
            "vector.broadcast": self.spread,
            "scf.for": self.for_,
        }

    # -- values ---------------------------------------------------------------------------------------------------

    def plain(self, value: ir.Value) -> ir.Value:
        mapped = self.values[value]
        assert isinstance(mapped, ir.Value), "a tile is used where an ordinary value belongs"
        return mapped

    def tile(self, value: ir.Value) -> Tile:
        mapped = self.values[value]
        assert isinstance(mapped, Tile)
        return mapped

    def flatten(self, value: ir.Value) -> list[ir.Value]:
        mapped = self.values[value]
        return mapped.values if isinstance(mapped, Tile) else [mapped]

    def tile_type(self, type_: ir.Type) -> TileType:
        return TileType(tuple(shape_of(type_)), ir.VectorType(type_).element_type, self.lanes)

    # -- ops ------------------------------------------------------------------------------------------------------

    def block(self, old: ir.Block) -> None:
        """Rebuild the ops of `old` at the current insertion point."""
        for view in old.operations:
            operation = view.operation
            with operation.location:
                self.operation(operation)

    def operation(self, operation: ir.Operation) -> None:
        handler = self.handlers.get(operation.name)
        if handler is not None:
            handler(operation)
        elif any(isinstance(v.type, ir.VectorType) for v in operation.results):
            self.elementwise(operation)
        else:
            self.copy(operation)

    def copy(self, operation: ir.Operation) -> None:
        """The same op on mapped operands, its regions rebuilt."""
        new = ir.Operation.create(
            operation.name,
            results=[r.type for r in operation.results],
            operands=[v for old in operation.operands for v in self.flatten(old)],
            attributes=dict(operation.attributes.items()),
            regions=len(operation.regions),
        )
        self.values.update(zip(operation.results, new.results, strict=True))
        for old_region, new_region in zip(operation.regions, new.regions, strict=True):
            for old_block in old_region.blocks:
                new_block = new_region.blocks.append(*[a.type for a in old_block.arguments])
                self.values.update(zip(old_block.arguments, new_block.arguments, strict=True))
                with ir.InsertionPoint(new_block):
                    self.block(old_block)

    def for_(self, operation: ir.Operation) -> None:
        """A loop whose carried tiles become carried pieces."""
        old = operation.opview
        initial = list(operation.operands)[3:]
        lower, upper, step = (self.plain(v) for v in list(operation.operands)[:3])
        new = scf.ForOp(lower, upper, step, [v for i in initial for v in self.flatten(i)])
        arguments = list(old.body.arguments)
        self.values[arguments[0]] = new.induction_variable
        self.unflatten(arguments[1:], list(new.inner_iter_args))
        with ir.InsertionPoint(new.body):
            self.block(old.body)
        self.unflatten(list(operation.results), list(new.results))

    def unflatten(self, old: Sequence[ir.Value], new: Sequence[ir.Value]) -> None:
        remaining = list(new)
        for value in old:
            if isinstance(value.type, ir.VectorType):
                type_ = self.tile_type(value.type)
                count = type_.rows * len(type_.pieces)
                self.values[value] = Tile(type_, remaining[:count])
                remaining = remaining[count:]
            else:
                self.values[value] = remaining.pop(0)

    def elementwise(self, operation: ir.Operation) -> None:
        """An arith or math op on tiles: the same op on each piece. Equal operands give one op."""
        if not operation.name.startswith(("arith.", "math.")):
            raise fail(operation, "has no lowering to CPU vectors")
        type_ = self.tile_type(operation.results[0].type)
        if operation.name == "arith.constant":
            self.values[operation.results[0]] = self.constant(operation, type_)
            return
        operands = [self.tile(v) for v in operation.operands]
        attributes = dict(operation.attributes.items())
        made: dict[tuple[Any, ...], ir.Value] = {}
        results = []
        for index in range(type_.rows * len(type_.pieces)):
            pieces = [t.values[index] for t in operands]
            key = tuple(pieces)
            if key not in made:
                piece = type_.pieces[index % len(type_.pieces)]
                made[key] = ir.Operation.create(
                    operation.name, [piece.type_of(type_.element_type)], pieces, attributes
                ).results[0]
            results.append(made[key])
        self.values[operation.results[0]] = Tile(type_, results)

    def constant(self, operation: ir.Operation, type_: TileType) -> Tile:
        value = operation.attributes["value"]
        if not value.is_splat:
            raise fail(operation, "is not a splat; a constant tile must be one")
        made: dict[Piece, ir.Value] = {}
        for piece in type_.pieces:
            piece_type = piece.type_of(type_.element_type)
            splat = value.get_splat_value()
            if isinstance(piece_type, ir.VectorType):
                splat = ir.DenseElementsAttr.get_splat(piece_type, splat)
            made[piece] = arith.constant(piece_type, splat)
        return Tile(type_, [made[piece] for _ in range(type_.rows) for piece in type_.pieces])

    # -- tile ops -------------------------------------------------------------------------------------------------

    def load_tile(self, operation: ir.Operation) -> None:
        result = operation.results[0]
        type_ = self.tile_type(result.type)
        uses = [(use.owner.operation.name, use.operand_number) for use in result.uses]
        if all(use == ("loop.contract_tile", 0) for use in uses):
            type_ = dataclasses.replace(type_, lanes=1)  # lhs is read as scalars, which FMAs broadcast from memory
        access = self.memory.access(operation.opview, self.plain)
        self.values[result] = self.memory.load(access, type_)

    def store_tile(self, operation: ir.Operation) -> None:
        tile = self.tile(operation.operands[0])
        self.memory.store(self.memory.access(operation.opview, self.plain), tile)

    def contract_tile(self, operation: ir.Operation) -> None:
        lhs, rhs, accumulator = (self.tile(v) for v in operation.operands)
        type_ = accumulator.type
        if not isinstance(type_.element_type, ir.FloatType):
            raise fail(operation, f"has no lowering for {type_.element_type}")
        values = list(accumulator.values)
        columns = len(type_.pieces)
        for k in range(rhs.type.rows):
            for row in range(type_.rows):
                scalar = lhs.scalar(row, k)
                broadcast: dict[ir.Type, ir.Value] = {}
                for column, piece in enumerate(type_.pieces):
                    piece_type = piece.type_of(type_.element_type)
                    if piece_type not in broadcast:
                        is_vector = isinstance(piece_type, ir.VectorType)
                        broadcast[piece_type] = vector.broadcast(piece_type, scalar) if is_vector else scalar
                    at = row * columns + column
                    values[at] = math.fma(broadcast[piece_type], rhs.values[k * columns + column], values[at])
        self.values[operation.results[0]] = Tile(type_, values)

    def reduce_tile(self, operation: ir.Operation) -> None:
        """Pieces of a row are combined pairwise, then across the lanes of one vector."""
        tile = self.tile(operation.operands[0])
        kind = operation.attributes["kind"].value
        count = self.plain(list(operation.operands)[-1]) if len(operation.operands) > 1 else None
        result = self.tile_type(operation.results[0].type)
        columns = len(tile.type.pieces)
        rows = [
            reduce_row(tile.type, tile.values[row * columns : (row + 1) * columns], kind, count)
            for row in range(tile.type.rows)
        ]
        self.values[operation.results[0]] = Tile(result, rows)

    def spread(self, operation: ir.Operation) -> None:
        """A tile made of one number."""
        type_ = self.tile_type(operation.results[0].type)
        number = self.plain(operation.operands[0])
        made = {
            piece: vector.broadcast(piece.type_of(type_.element_type), number) if piece.lanes > 1 else number
            for piece in type_.pieces
        }
        self.values[operation.results[0]] = Tile(type_, [made[p] for _ in range(type_.rows) for p in type_.pieces])

    def broadcast_tile(self, operation: ir.Operation) -> None:
        tile, type_ = self.tile(operation.operands[0]), self.tile_type(operation.results[0].type)
        values = []
        for row in range(type_.rows):
            for piece in type_.pieces:
                piece_type = piece.type_of(type_.element_type)
                scalar = tile.scalar(row, 0)
                values.append(vector.broadcast(piece_type, scalar) if piece.lanes > 1 else scalar)
        self.values[operation.results[0]] = Tile(type_, values)


def lower_function(function: Any, lanes: int) -> None:
    """Rebuild `function` (a func.func) without tiles."""
    lowering = _Lowering(lanes)
    with ir.InsertionPoint(function.operation), function.operation.location:
        new = func.FuncOp(function.name.value, function.type)
    for name, attribute in function.attributes.items():
        if name not in ("sym_name", "function_type"):
            new.attributes[name] = attribute
    entry = new.add_entry_block()
    lowering.values.update(zip(function.entry_block.arguments, entry.arguments, strict=True))
    with ir.InsertionPoint(entry):
        lowering.block(function.entry_block)
    function.operation.erase()


@dataclasses.dataclass(frozen=True)
class LowerTilesToVector(Pass):
    """Lower tile ops to native vectors of `lanes` 32-bit elements."""

    name = "lower-tiles-to-vector"
    lanes: int = 16

    def run(self, module: ir.Operation) -> None:
        if self.lanes < 1 or self.lanes & (self.lanes - 1):
            raise fail(module, f"lanes must be a power of two, got {self.lanes}")
        for view in list(module.regions[0].blocks[0].operations):
            if isinstance(view, func.FuncOp) and "loop.kernel" in view.attributes:
                lower_function(view, self.lanes)
