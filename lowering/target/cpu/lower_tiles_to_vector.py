"""`lower-tiles-to-vector`: tile ops of the loop level become native vectors of a CPU.

A tile [r..., c] becomes r rows of pieces, each a 1-D vector of the machine's lanes (the last one narrower or masked, a
single element a scalar). Every op on tiles is repeated for each piece, loop-carried tiles become that many loop-carried
vectors, and a contraction becomes what `contraction.py` makes of it. Tiles that an atom multiplies by blocks are held
as these (see `tile_blocks.py`), and so is what a loop adds up by it. What is not a tile is copied unchanged. Each
function is rebuilt beside the old one, which is then erased.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from terrace.dialects.base import attributes_of, shape_of
from terrace.element_types import F32
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.cpu.atoms import CpuAtom, find_atom, machine_of
from terrace.lowering.target.cpu.contraction import (
    contract,
    contract_blocks,
    contract_by,
    dot_by,
    together,
    wanted_lhs,
    wanted_rhs,
)
from terrace.lowering.target.cpu.requantize import Requantizer
from terrace.lowering.target.cpu.table_lookup import FEATURES, LANES, Permuted, look_up
from terrace.lowering.target.cpu.tile import Tile, TileType, recut
from terrace.lowering.target.cpu.tile_blocks import BlockType, TileBlocks, is_direct, wanted_blocks, zeros
from terrace.lowering.target.cpu.tile_memory import TileMemory
from terrace.lowering.target.cpu.tile_neighbours import load_neighbours, reads_neighbours, stores_neighbours
from terrace.lowering.target.cpu.tile_reduction import any_of, reduce_row
from terrace.lowering.target.cpu.tile_scan import scan_row
from terrace.lowering.target.cpu.tile_transpose import is_transposed
from terrace.lowering.target.cpu.unpacking import unpack, wanted_codes
from terrace.lowering.target.description import target_of
from terrace.lowering.target.local_memory import require_local_memory
from terrace.lowering.target.tile_access import Access
from terrace.lowering.target.tile_parts import PartsRebuilder
from terrace.lowering.target.tile_rebuilder import is_tile, shape_of_tile, splat_of
from terrace.mlir import arith, ir, operation_of, vector
from terrace.passes import Pass, fail
from terrace.progress import track


class _Lowering(PartsRebuilder[Tile, TileType]):
    """Rebuilds one function with native vectors of `lanes` elements.

    `atoms` are the names of those that the target has, None where it is not known; `features` are the target's.
    """

    machine = "CPU vectors"

    def __init__(self, lanes: int, atoms: Sequence[str] | None, features: Sequence[str] = ()) -> None:
        super().__init__()
        self.lanes, self.atoms, self.features = lanes, atoms, features
        self.memory, self.blocks = TileMemory(), TileBlocks()
        self.handlers |= {
            "loop.load_tile": self.load_tile,
            "loop.store_tile": self.store_tile,
            "loop.contract_tile": self.contract_tile,
            "loop.dot_tile": self.dot_tile,
            "loop.reduce_tile": self.reduce_tile,
            "loop.any_tile": self.any_tile,
            "loop.scan_tile": self.scan_tile,
            "loop.broadcast_tile": self.broadcast_tile,
            "loop.index_tile": self.index_tile,
            "loop.lookup_tile": self.lookup_tile,
            "loop.requantize_tile": self.requantize_tile,
            "loop.unpack_tile": self.unpack_tile,
        }

    def holding(self, type_: ir.Type) -> TileType:
        return TileType(shape_of_tile(type_), ir.VectorType(type_).element_type, self.lanes)

    def dense(self, type_: ir.Type) -> TileType:
        """A tile of bytes so that these fill registers: what they are computed of has several for each vector."""
        usual = self.holding(type_)
        is_wide = usual.element_type == ir.IntegerType.get_signless(8) and usual.shape[-1] > self.lanes
        return dataclasses.replace(usual, lanes=F32.bytes * self.lanes) if is_wide else usual

    def retyped(self, holding: TileType, type_: ir.Type) -> TileType:
        """What blocks are computed of is not in blocks itself."""
        if isinstance(holding, BlockType):
            return self.holding(type_)
        return dataclasses.replace(holding, element_type=ir.VectorType(type_).element_type)

    def part_types(self, holding: TileType) -> list[ir.Type]:
        return holding.types

    def make_tile(self, holding: TileType, values: list[ir.Value]) -> Tile:
        return Tile(holding, values)

    def convert(self, tile: Tile, holding: TileType) -> Tile:
        """Element by element; of neighbours along k that are held as part of a row the order is the same."""
        if isinstance(tile.type, BlockType):
            return self.convert(self.blocks.to_vectors(tile), holding) if holding != tile.type else tile
        if isinstance(holding, BlockType):
            return self.blocks.from_vectors(self.convert(tile, holding.vectors), holding)
        if tile.type == holding:
            return tile
        in_vectors = min(holding.lanes, tile.type.lanes) >= self.lanes and holding.depth == tile.type.depth == 1
        if in_vectors and holding.shape == tile.type.shape:
            return recut(tile, holding)
        made, columns, own = [], holding.shape[-1], tile.type.shape[-1]
        for row, piece in itertools.product(range(holding.rows), holding.pieces):
            at = [row * columns + piece.offset + min(i, piece.count - 1) for i in range(piece.lanes)]
            elements = [tile.scalar(*divmod(number, own)) for number in at]
            type_ = piece.type_of(holding.element_type)
            made.append(elements[0] if piece.lanes == 1 else vector.from_elements(type_, elements))
        return Tile(holding, made)

    def wanted(self, operation: ir.Operation, number: int) -> TileType | None:
        usual = self.holding(operation.operands[number].type)
        if operation.name in ("scf.for", "scf.yield"):
            return self.wanted_of_carried(operation, number)
        if operation.name == "loop.unpack_tile":
            return wanted_codes(usual)
        if operation.name in ("loop.requantize_tile", "loop.lookup_tile"):
            return self.retyped(self.dense(operation.results[0].type), operation.operands[number].type)
        if operation.name == "loop.dot_tile" and number == 1:
            return wanted_rhs(usual, self._named_atom(operation))
        if operation.name == "loop.dot_tile" and number > 1:
            return self.dense(operation.operands[number].type)
        if operation.name == "loop.store_tile" and number == 0 and stores_neighbours(operation):
            return together(usual)
        if operation.name == "loop.store_tile" and number == 0 and self._stores_blocks(operation):
            return self.held(operation.operands[0])
        if operation.name == "loop.store_tile" and number == 0 and attributes_of(operation).strides[-1:] == [1]:
            return self.dense(operation.operands[0].type)
        if operation.name != "loop.contract_tile":
            return None
        taken = self.taken(operation, number)
        return None if isinstance(taken, BlockType) and _is_zero(operation.operands[number]) else taken

    def taken(self, operation: ir.Operation, number: int) -> TileType:
        """How a contraction takes an operand."""
        usual, atom = self.holding(operation.operands[number].type), self._atom(operation)
        if atom is not None and atom.block is not None:
            return wanted_blocks(usual, atom.depth if number == 1 else 1)
        return usual if number == 2 else (wanted_lhs, wanted_rhs)[number](usual, atom)

    def wanted_of_carried(self, operation: ir.Operation, number: int) -> TileType | None:
        """How a loop is given what it carries, at first and at the end of its body; None for other blocks' ends."""
        is_loop = operation.name == "scf.for"
        owner = operation if is_loop else operation.parent.operation
        if owner.name != "scf.for" or _is_zero(operation.operands[number]):
            return None
        return self.held(owner.results[number - 3 * is_loop])

    def _stores_blocks(self, operation: ir.Operation) -> bool:
        """Whether a tile is stored as the blocks that it is held in."""
        held = self.held(operation.operands[0])
        return isinstance(held, BlockType) and is_direct(Access.of(operation.opview, lambda value: value), held)

    def held(self, value: ir.Value) -> TileType:
        """Blocks, of products of blocks and of a tile to which a loop does nothing but add these."""
        owner = value.owner.owner.operation if isinstance(value.owner, ir.Block) else value.owner.operation
        if owner.name == "loop.contract_tile":
            atom = self._atom(owner)
            if atom is not None and atom.block is not None:
                return wanted_blocks(self.holding(value.type))
        if owner.name == "scf.for":
            body, is_argument = owner.opview.body, isinstance(value.owner, ir.Block)
            index = (ir.BlockArgument(value).arg_number - 1) if is_argument else ir.OpResult(value).result_number
            end, start = body.operations[len(body.operations) - 1].operands[index], body.arguments[index + 1]
            step = None if isinstance(end.owner, ir.Block) else end.owner.operation
            if step is not None and step.name == "loop.contract_tile" and step.operands[2] == start:
                atom = self._atom(step)
                if atom is not None and atom.block is not None:
                    return wanted_blocks(self.holding(value.type))
        return self.holding(value.type)

    def tile(self, value: ir.Value, holding: TileType | None = None) -> Tile:
        """Blocks of zeros are made where they are used: there are few registers."""
        if isinstance(holding, BlockType) and _is_zero(value):
            return zeros(holding)
        return super().tile(value, holding)

    def _apply(self, operation: ir.Operation, holding: TileType) -> Tile:
        """Blocks are computed as vectors."""
        if not isinstance(holding, BlockType):
            return super()._apply(operation, holding)
        return self.convert(super()._apply(operation, self.holding(operation.results[0].type)), holding)

    def _atom(self, operation: ir.Operation) -> CpuAtom | None:
        """The atom of a contraction; None for multiply-adds."""
        if "atom" not in operation.attributes:
            return None
        atom = self._named_atom(operation)
        name = atom.name
        types = tuple(str(ir.VectorType(value.type).element_type) for value in operation.operands)
        depth, unsigned = shape_of(operation.operands[1])[2], "unsigned_lhs" in operation.attributes
        if (types, depth, unsigned) != (atom.types, atom.depth, atom.unsigned_lhs):
            sign = "an unsigned" if atom.unsigned_lhs else "a signed"
            wanted = f"{', '.join(atom.types)}, {atom.depth} along k, and {sign} lhs"
            raise fail(operation, f"must be what its atom '{name}' multiplies: {wanted}")
        if atom.block is not None and len(shape_of(operation.operands[0])) != 2:
            raise fail(operation, f"must have an lhs of two dimensions, of which its atom '{name}' takes blocks")
        return atom

    def _named_atom(self, operation: ir.Operation) -> CpuAtom:
        name = operation.attributes["atom"].value
        atom = find_atom(name)
        if atom is None or max(atom.lanes) != self.lanes:
            raise fail(operation, f"wants the atom '{name}', which no CPU with vectors of {self.lanes} lanes has")
        if self.atoms is not None and name not in self.atoms:
            has = ", ".join(self.atoms) or "none"
            raise fail(operation, f"wants the atom '{name}', for which the target lacks features; its atoms: {has}")
        return atom

    # -- tile ops -------------------------------------------------------------------------------------------------

    def load_tile(self, operation: ir.Operation) -> None:
        result = operation.results[0]
        self.tiles[result] = {holding: self._load_of(operation, holding) for holding in self.wants_of(result)}

    def _load_of(self, operation: ir.Operation, holding: TileType) -> Tile:
        access = Access.of(operation.opview, self.plain)
        if holding.depth == 1:
            return self._load(access, holding)
        if not reads_neighbours(operation.results[0]):
            return self._load(access.merged(operation), holding)
        vectors = holding.vectors if isinstance(holding, BlockType) else holding
        return self.convert(load_neighbours(operation, access, vectors, self.memory), holding)

    def _load(self, access: Access, holding: TileType) -> Tile:
        """Columns are transposed in blocks of the machine's lanes."""
        if isinstance(holding, BlockType):
            tile = self.blocks.load(access, holding)
            return tile or self.blocks.from_vectors(self._load(access, holding.vectors), holding)
        usual = dataclasses.replace(holding, lanes=self.lanes)
        if holding != usual and is_transposed(access, usual):
            return recut(self.memory.load(access, usual), holding)
        return self.memory.load(access, holding)

    def store_tile(self, operation: ir.Operation) -> None:
        tile, access = (
            self.tile(operation.operands[0], self.wanted(operation, 0)),
            Access.of(operation.opview, self.plain),
        )
        if isinstance(tile.type, BlockType):
            self.blocks.store(access, tile)
        else:
            self.memory.store(access.merged(operation) if tile.type.depth > 1 else access, tile)

    def contract_tile(self, operation: ir.Operation) -> None:
        atom = self._atom(operation)
        lhs, rhs, accumulator = (self.tile(v, self.taken(operation, i)) for i, v in enumerate(operation.operands))
        if atom is None:
            result = contract(lhs, rhs, accumulator)
        else:
            result = (contract_blocks if atom.block else contract_by)(atom, lhs, rhs, accumulator)
        self.set_tile(operation.results[0], result, result.type)

    def dot_tile(self, operation: ir.Operation) -> None:
        atom = self._named_atom(operation)
        accumulator, rhs, *lhs = (self.tile(v, self.wanted(operation, i)) for i, v in enumerate(operation.operands))
        if atom.depth != rhs.type.depth or not atom.unsigned_lhs:
            raise fail(operation, f"multiplies four bytes, unsigned by signed, which the atom '{atom.name}' does not")
        self.set_tile(operation.results[0], dot_by(atom, lhs, rhs, accumulator))

    def reduce_tile(self, operation: ir.Operation) -> None:
        """Pieces of a row are combined pairwise, then across the lanes of one vector."""
        tile = self.tile(operation.operands[0])
        kind = operation.attributes["kind"].value
        count = self.plain(list(operation.operands)[-1]) if len(operation.operands) > 1 else None
        result = self.holding(operation.results[0].type)
        columns = len(tile.type.pieces)
        rows = [
            reduce_row(tile.type, tile.values[row * columns : (row + 1) * columns], kind, count)
            for row in range(tile.type.rows)
        ]
        self.set_tile(operation.results[0], Tile(result, rows))

    def any_tile(self, operation: ir.Operation) -> None:
        tile = self.tile(operation.operands[0])
        self.values[operation.results[0]] = any_of(tile)

    def scan_tile(self, operation: ir.Operation) -> None:
        tile, kind = self.tile(operation.operands[0]), operation.attributes["kind"].value
        columns, running, totals = len(tile.type.pieces), list[ir.Value](), list[ir.Value]()
        for row in range(tile.type.rows):
            parts, total = scan_row(tile.type, tile.values[row * columns : (row + 1) * columns], kind)
            running += parts
            totals.append(total)
        for result, values in zip(operation.results, (running, totals), strict=True):
            self.set_tile(result, Tile(self.holding(result.type), values))

    def lookup_tile(self, operation: ir.Operation) -> None:
        result, table = operation.results[0], operation.attributes["table"]
        type_ = self.dense(result.type)
        tile = self.tile(operation.operands[0], self.retyped(type_, operation.operands[0].type))
        permutes = FEATURES.issubset(self.features) and F32.bytes * self.lanes == LANES
        permuted = Permuted(table) if permutes and Permuted.fits(table) else None
        values = [
            permuted.look_up(indices, piece) if permuted and piece.lanes > 1 else look_up(table, indices, piece)
            for indices, piece in zip(tile.values, list(type_.pieces) * type_.rows, strict=True)
        ]
        self.set_tile(result, Tile(type_, values), type_)

    def requantize_tile(self, operation: ir.Operation) -> None:
        result, holding = operation.results[0], self.dense(operation.results[0].type)
        sums, multipliers, shifts = (self.tile(v, self.retyped(holding, v.type)).values for v in operation.operands)
        made = Requantizer(self.lanes, self.features).parts(sums, multipliers, shifts, holding.element_type)
        self.set_tile(result, Tile(holding, made), holding)

    def unpack_tile(self, operation: ir.Operation) -> None:
        """Neighbours for an atom are made beside each other, as its step reads them, and moved where others do."""
        result, usual = operation.results[0], self.holding(operation.results[0].type)
        together = usual.shape[2] if len(usual.shape) == 3 else 1
        made = wanted_codes(usual) if together > 1 else dataclasses.replace(usual, shape=usual.shape[:2])
        codes = self.tile(operation.operands[0], self.wanted(operation, 0))
        tile = unpack(codes, attributes_of(operation).bits, made, self.features)
        wants = self.wants_of(result)
        self.tiles[result] = {made: tile} | {h: self.convert(tile, h) for h in wants if h != made}

    def index_tile(self, operation: ir.Operation) -> None:
        """A vector of ascending numbers for each piece of a row, or one number for all of the row."""
        type_, dim = self.holding(operation.results[0].type), attributes_of(operation).dim
        start = arith.index_cast(type_.element_type, self.plain(operation.operands[0]))
        along_row = dim == len(type_.shape) - 1
        values = []
        for row in range(type_.rows):
            first = 0 if along_row else type_.row_index(row)[dim]
            for piece in type_.pieces:
                numbers = [first + (piece.offset + i) * along_row for i in range(piece.lanes)]
                values.append(self._numbers(piece.type_of(type_.element_type), start, numbers))
        self.set_tile(operation.results[0], Tile(type_, values))

    @staticmethod
    def _numbers(type_: ir.Type, start: ir.Value, numbers: list[int]) -> ir.Value:
        """start + each of `numbers`."""
        if not isinstance(type_, ir.VectorType):
            return arith.addi(start, arith.constant(type_, numbers[0]))
        elements = [ir.IntegerAttr.get(type_.element_type, number) for number in numbers]
        offsets = arith.constant(type_, ir.DenseElementsAttr.get(elements, type_))
        return arith.addi(vector.broadcast(type_, start), offsets)

    def broadcast_tile(self, operation: ir.Operation) -> None:
        tile, type_ = self.tile(operation.operands[0]), self.holding(operation.results[0].type)
        values = []
        for row in range(type_.rows):
            for piece in type_.pieces:
                piece_type = piece.type_of(type_.element_type)
                scalar = tile.scalar(row, 0)
                values.append(vector.broadcast(piece_type, scalar) if piece.lanes > 1 else scalar)
        self.set_tile(operation.results[0], Tile(type_, values))


def _is_zero(value: ir.Value) -> bool:
    """Whether a tile is a constant of zeros."""
    operation = operation_of(value)
    is_constant = operation is not None and operation.name == "arith.constant" and is_tile(value)
    return is_constant and splat_of(operation).value == 0


@dataclasses.dataclass(frozen=True)
class LowerTilesToVector(Pass):
    """Lower tile ops to native vectors of `lanes` 32-bit elements."""

    name = "lower-tiles-to-vector"
    lanes: int = 16

    def run(self, module: ir.Operation) -> None:
        if self.lanes < 1 or self.lanes & (self.lanes - 1):
            raise fail(module, f"lanes must be a power of two, got {self.lanes}")
        target = target_of(module)
        machine = machine_of(target) if target and target.cpu else None
        atoms = [atom.name for atom in machine.atoms] if machine else None
        for function in track(loop_kernels(module), "kernel"):
            if machine is not None:
                require_local_memory(function, machine)
            _Lowering(self.lanes, atoms, machine.features if machine else ()).function(function)
