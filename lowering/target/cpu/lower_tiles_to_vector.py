"""`lower-tiles-to-vector`: tile ops of the loop level become native vectors of a CPU.

A tile [r..., c] becomes r rows of pieces, each a 1-D vector of the machine's lanes (the last one narrower or masked, a
single element a scalar). Every op on tiles is repeated for each piece, loop-carried tiles become that many loop-carried
vectors, and a contraction becomes an outer product of scalars of lhs, broadcast, with the pieces of rhs; integers are
sign-extended to the accumulator first. What is not a tile is copied unchanged. Each function is rebuilt beside the old
one, which is then erased.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import shape_of
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.graph.payload_types import cast, is_float, scalar_type
from terrace.lowering.target.constant_tables import table_memory
from terrace.lowering.target.cpu.tile import Tile, TileType
from terrace.lowering.target.cpu.tile_memory import TileMemory
from terrace.lowering.target.cpu.tile_reduction import reduce_row
from terrace.lowering.target.tile_access import Access
from terrace.lowering.target.tile_rebuilder import TileRebuilder
from terrace.mlir import arith, ir, math, memref, vector
from terrace.passes import Pass, fail
from terrace.progress import track


class _Lowering(TileRebuilder[Tile]):
    """Rebuilds one function with native vectors of `lanes` elements."""

    machine = "CPU vectors"

    def __init__(self, lanes: int) -> None:
        super().__init__()
        self.lanes = lanes
        self.memory = TileMemory()
        self.handlers |= {
            "loop.load_tile": self.load_tile,
            "loop.store_tile": self.store_tile,
            "loop.contract_tile": self.contract_tile,
            "loop.reduce_tile": self.reduce_tile,
            "loop.broadcast_tile": self.broadcast_tile,
            "loop.lookup_tile": self.lookup_tile,
            "vector.broadcast": self.spread,
        }

    def tile_type(self, type_: ir.Type) -> TileType:
        return TileType(tuple(shape_of(type_)), ir.VectorType(type_).element_type, self.lanes)

    def part_types(self, type_: ir.Type) -> list[ir.Type]:
        tile = self.tile_type(type_)
        return [piece.type_of(tile.element_type) for piece in tile.pieces] * tile.rows

    def make_tile(self, type_: ir.Type, values: list[ir.Value]) -> Tile:
        return Tile(self.tile_type(type_), values)

    # -- tile ops -------------------------------------------------------------------------------------------------

    def load_tile(self, operation: ir.Operation) -> None:
        result = operation.results[0]
        type_ = self.tile_type(result.type)
        uses = [(use.owner.operation.name, use.operand_number) for use in result.uses]
        if all(use == ("loop.contract_tile", 0) for use in uses):
            type_ = dataclasses.replace(type_, lanes=1)  # lhs is read as scalars, which FMAs broadcast from memory
        access = Access.of(operation.opview, self.plain)
        self.tiles[result] = self.memory.load(access, type_)

    def store_tile(self, operation: ir.Operation) -> None:
        tile = self.tile(operation.operands[0])
        self.memory.store(Access.of(operation.opview, self.plain), tile)

    def contract_tile(self, operation: ir.Operation) -> None:
        lhs, rhs, accumulator = (self.tile(v) for v in operation.operands)
        type_ = accumulator.type
        values = list(accumulator.values)
        columns = len(type_.pieces)
        for k in range(rhs.type.rows):
            right = [cast(v, type_.element_type) for v in rhs.values[k * columns : (k + 1) * columns]]
            for row in range(type_.rows):
                scalar = cast(lhs.scalar(row, k), type_.element_type)
                broadcast: dict[ir.Type, ir.Value] = {}
                for column, piece in enumerate(type_.pieces):
                    piece_type = piece.type_of(type_.element_type)
                    if piece_type not in broadcast:
                        is_vector = isinstance(piece_type, ir.VectorType)
                        broadcast[piece_type] = vector.broadcast(piece_type, scalar) if is_vector else scalar
                    at = row * columns + column
                    values[at] = _multiply_add(broadcast[piece_type], right[column], values[at])
        self.tiles[operation.results[0]] = Tile(type_, values)

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
        self.tiles[operation.results[0]] = Tile(result, rows)

    def lookup_tile(self, operation: ir.Operation) -> None:
        """Element by element, from a constant in memory."""
        tile, type_ = self.tile(operation.operands[0]), self.tile_type(operation.results[0].type)
        memory = table_memory(operation.attributes["table"])
        values = []
        for indices, piece in zip(tile.values, list(type_.pieces) * type_.rows, strict=True):
            scalars = [indices] if piece.lanes == 1 else [vector.extract(indices, [], [i]) for i in range(piece.count)]
            found = [memref.load(memory, [arith.index_cast(ir.IndexType.get(), s)]) for s in scalars]
            found += [found[-1]] * (piece.lanes - len(found))  # lanes that nobody stores
            made = piece.type_of(type_.element_type)
            values.append(found[0] if piece.lanes == 1 else vector.from_elements(made, found))
        self.tiles[operation.results[0]] = Tile(type_, values)

    def spread(self, operation: ir.Operation) -> None:
        """A tile made of one number."""
        type_ = self.tile_type(operation.results[0].type)
        number = self.plain(operation.operands[0])
        made = {
            piece: vector.broadcast(piece.type_of(type_.element_type), number) if piece.lanes > 1 else number
            for piece in type_.pieces
        }
        self.tiles[operation.results[0]] = Tile(type_, [made[p] for _ in range(type_.rows) for p in type_.pieces])

    def broadcast_tile(self, operation: ir.Operation) -> None:
        tile, type_ = self.tile(operation.operands[0]), self.tile_type(operation.results[0].type)
        values = []
        for row in range(type_.rows):
            for piece in type_.pieces:
                piece_type = piece.type_of(type_.element_type)
                scalar = tile.scalar(row, 0)
                values.append(vector.broadcast(piece_type, scalar) if piece.lanes > 1 else scalar)
        self.tiles[operation.results[0]] = Tile(type_, values)


def _multiply_add(left: ir.Value, right: ir.Value, accumulator: ir.Value) -> ir.Value:
    if is_float(scalar_type(accumulator.type)):
        return math.fma(left, right, accumulator)
    return arith.addi(accumulator, arith.muli(left, right))


@dataclasses.dataclass(frozen=True)
class LowerTilesToVector(Pass):
    """Lower tile ops to native vectors of `lanes` 32-bit elements."""

    name = "lower-tiles-to-vector"
    lanes: int = 16

    def run(self, module: ir.Operation) -> None:
        if self.lanes < 1 or self.lanes & (self.lanes - 1):
            raise fail(module, f"lanes must be a power of two, got {self.lanes}")
        for function in track(loop_kernels(module), "kernel"):
            _Lowering(self.lanes).function(function)
