"""A tile as blocks that a CPU multiplies at once, and its ways between memory, vectors and these."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator

from terrace.dialects import loop
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.graph.payload_types import constant
from terrace.lowering.target.cpu.amx import ROW_BYTES, ROWS, block_type, load_block, store_block, zero_block
from terrace.lowering.target.cpu.tile import Tile, TileType
from terrace.lowering.target.tile_access import Access, index_constant
from terrace.mlir import DYNAMIC, arith, ir, llvm, memref, vector


@dataclasses.dataclass(frozen=True)
class BlockType(TileType):
    """A tile of two dimensions in blocks, row by row of these; what it lacks of the last ones is zero.

    The fields say how it is held as vectors on its way.
    """

    @property
    def vectors(self) -> TileType:
        """The same tile as vectors."""
        return TileType(self.shape, self.element_type, self.lanes, self.depth)

    @property
    def columns(self) -> int:
        """The elements of a row of a block."""
        return ROW_BYTES // ELEMENT_TYPES[str(self.element_type)].bytes

    @property
    def counts(self) -> tuple[int, int]:
        """How many blocks stand below and beside each other."""
        rows, columns = self.shape
        return -(-rows // ROWS), -(-columns // self.columns)

    @property
    def whole(self) -> bool:
        """Whether no block lacks anything."""
        return self.shape == (self.counts[0] * ROWS, self.counts[1] * self.columns)

    @property
    def types(self) -> list[ir.Type]:
        return [block_type()] * math.prod(self.counts)

    def starts(self) -> Iterator[tuple[int, int]]:
        """The row and the column at which each block starts."""
        below, beside = self.counts
        return itertools.product(range(0, below * ROWS, ROWS), range(0, beside * self.columns, self.columns))


def wanted_blocks(type_: TileType, depth: int = 1) -> BlockType:
    """Blocks of a tile; with neighbours along k, its last dimension, these are part of a row."""
    shape = type_.shape if depth == 1 else (type_.shape[0], type_.shape[1] * depth)
    return BlockType(shape, type_.element_type, type_.lanes, depth)


def zeros(type_: BlockType) -> Tile:
    """Blocks of zeros."""
    return Tile(type_, [zero_block() for _ in type_.types])


class TileBlocks:
    """Emits the moves of blocks at the current insertion point, through memory of its own for each shape of a tile."""

    def __init__(self) -> None:
        self._memories: dict[tuple[BlockType, bool], ir.Value] = {}

    def load(self, access: Access, type_: BlockType) -> Tile | None:
        """Whole blocks straight from memory; None where there are others, which vectors fill up."""
        if not is_direct(access, type_):
            return None
        return self._loaded(access.memory, access.indices, access.dims[0], type_)

    def store(self, access: Access, tile: Tile) -> None:
        """Whole blocks straight to memory, where `is_direct` says so."""
        assert isinstance(tile.type, BlockType)
        stride = _bytes_between_rows(access.memory, access.dims[0])
        for block, at in zip(tile.values, _places(access.indices, access.dims[0], tile.type), strict=True):
            store_block(block, _pointer(access.memory, at), stride)

    def from_vectors(self, tile: Tile, type_: BlockType) -> Tile:
        """The tile, held as its `vectors`, as blocks."""
        memory = self._memory(type_, filled=not type_.whole)
        places = itertools.product(range(tile.type.rows), tile.type.pieces)
        for (row, piece), value in zip(places, tile.values, strict=True):
            at = [index_constant(row), index_constant(piece.offset)]
            if piece.lanes == 1:
                memref.store(value, memory, at)
            elif piece.lanes == piece.count:
                vector.store(value, memory, at)
            else:
                type_of_mask = ir.VectorType.get([piece.lanes], ir.IntegerType.get_signless(1))
                mask = vector.create_mask(type_of_mask, [index_constant(piece.count)])
                vector.maskedstore(memory, at, mask, value)
        return self._loaded(memory, [index_constant(0)] * 2, 0, type_)

    def to_vectors(self, tile: Tile) -> Tile:
        """The blocks of a tile of sums as its `vectors`."""
        type_ = tile.type
        assert isinstance(type_, BlockType)
        memory, vectors = self._memory(type_, filled=False), type_.vectors
        stride = _bytes_between_rows(memory, 0)
        for block, (row, column) in zip(tile.values, type_.starts(), strict=True):
            store_block(block, _pointer(memory, [index_constant(row), index_constant(column)]), stride)
        values = []
        for row, piece in itertools.product(range(vectors.rows), vectors.pieces):
            at, made = [index_constant(row), index_constant(piece.offset)], piece.type_of(type_.element_type)
            values.append(memref.load(memory, at) if piece.lanes == 1 else vector.load(made, memory, at))
        return Tile(vectors, values)

    def _loaded(self, memory: ir.Value, indices: list[ir.Value], axis: int, type_: BlockType) -> Tile:
        """The blocks of a tile whose rows go along an axis of memory, from these indices on."""
        stride = _bytes_between_rows(memory, axis)
        return Tile(type_, [load_block(_pointer(memory, at), stride) for at in _places(indices, axis, type_)])

    def _memory(self, type_: BlockType, filled: bool) -> ir.Value:
        """Memory for whole blocks of a tile, which nothing holds when the next tile comes.

        What the tile lacks is zero if it is `filled`: nothing else is stored there, so a workgroup does it once. In the
        loops LLVM would make it a call, around which it saves all blocks.
        """
        key = type_, filled
        if key not in self._memories:
            shape, element_type = [type_.counts[0] * ROWS, type_.counts[1] * type_.columns], type_.element_type
            local = ir.MemRefType.get(shape, element_type, memory_space=ir.StringAttr.get(loop.LOCAL))
            with ir.InsertionPoint.at_block_begin(_workgroup(ir.InsertionPoint.current.block)):
                self._memories[key] = loop.AllocOp(local).operation.results[0]
                if filled:
                    _fill(self._memories[key], type_.columns)
        return self._memories[key]


def is_direct(access: Access, type_: BlockType) -> bool:
    """Whether blocks are whole in memory, their rows along one axis of it and their columns along the last."""
    shape = list(ir.MemRefType(access.memory.type).shape)
    moves = access.dims[0] >= 0 and access.strides == [1, 1] and access.contiguous
    return type_.whole and not access.sizes and moves and DYNAMIC not in shape[1:]


def _places(indices: list[ir.Value], axis: int, type_: BlockType) -> Iterator[list[ir.Value]]:
    """The indices of the first element of each block."""
    for row, column in type_.starts():
        at = list(indices)
        for place, offset in ((axis, row), (-1, column)):
            at[place] = arith.addi(at[place], index_constant(offset)) if offset else at[place]
        yield at


def _fill(memory: ir.Value, columns: int) -> None:
    """Store zeros everywhere, so many at a time."""
    type_ = ir.MemRefType(memory.type)
    zero = constant(ir.VectorType.get([columns], type_.element_type), 0)
    for row, column in itertools.product(range(type_.shape[0]), range(0, type_.shape[1], columns)):
        vector.store(zero, memory, [index_constant(row), index_constant(column)])


def _workgroup(block: ir.Block) -> ir.Block:
    """The body of the workgroup that a block is in, or that of the function."""
    operation = block.owner.operation
    while operation.name not in ("loop.parallel", "func.func"):
        operation = operation.parent.operation
    return operation.regions[0].blocks[0]


def _strides(memory: ir.Value) -> list[int]:
    """The bytes between elements along each axis, of which only the first may be of a size `?`."""
    type_ = ir.MemRefType(memory.type)
    shape, size = list(type_.shape), ELEMENT_TYPES[str(type_.element_type)].bytes
    return [size * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _bytes_between_rows(memory: ir.Value, axis: int) -> ir.Value:
    return arith.constant(ir.IntegerType.get_signless(64), _strides(memory)[axis])


def _pointer(memory: ir.Value, indices: list[ir.Value]) -> ir.Value:
    """The address of an element."""
    i64, pointer = ir.IntegerType.get_signless(64), ir.Type.parse("!llvm.ptr")
    start = arith.index_cast(i64, memref.extract_aligned_pointer_as_index(memory))
    offset = index_constant(0)
    for index, stride in zip(indices, _strides(memory), strict=True):
        offset = arith.addi(offset, arith.muli(index, index_constant(stride)))
    return llvm.inttoptr(pointer, arith.addi(start, arith.index_cast(i64, offset)))
