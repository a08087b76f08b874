"""Tiles [k / 4, n, 4] of bytes, as atoms multiply them, from a matrix of bytes as it lies in memory.

Where columns are runs of memory, words of four bytes are transposed; else four rows are interleaved.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of
from terrace.element_types import F32
from terrace.lowering.target.cpu.contraction import interleaved
from terrace.lowering.target.cpu.tile import Tile, TileType, recut, widened
from terrace.lowering.target.cpu.tile_memory import TileMemory
from terrace.lowering.target.cpu.tile_transpose import load_columns
from terrace.lowering.target.tile_access import Access, constant_of, index_constant
from terrace.mlir import arith, ir, operation_of, vector
from terrace.passes import fail

TOGETHER = 4
"""Bytes of a word."""


def reads_neighbours(value: ir.Value) -> bool:
    """Whether a tile is loaded so that neighbours along its first dimension stand beside each other in its last."""
    operation = operation_of(value)
    if operation is None or operation.name != "loop.load_tile":
        return False
    attrs, type_ = attributes_of(operation), ir.VectorType(value.type)
    is_words = type_.rank == 3 and type_.shape[2] == TOGETHER and type_.element_type == ir.IntegerType.get_signless(8)
    moves = is_words and list(attrs.strides) == [TOGETHER, 1, 1] and min(attrs.dims) >= 0
    return moves and attrs.dims[0] == attrs.dims[2]


def stores_neighbours(operation: ir.Operation) -> bool:
    """Whether such a tile is stored so that its rows are runs of memory."""
    attrs, rank = attributes_of(operation), ir.MemRefType(operation.operands[1].type).rank
    in_place = list(attrs.dims[1:]) == [rank - 1, rank - 1] and list(attrs.strides[1:]) == [TOGETHER, 1]
    return in_place and len(operation.operands) == 2 + rank and reads_neighbours(operation.operands[0])


def load_neighbours(operation: ir.Operation, access: Access, type_: TileType, memory: TileMemory) -> Tile:
    """The tile of a load that reads neighbours; some of these may be out of bounds if it is one group along k."""
    (groups, size), count = type_.shape, TOGETHER
    columns = size // TOGETHER
    if access.sizes:
        known = [constant_of(bound) for bound in access.sizes]
        count = known[2] or 0
        if known[:2] != [groups, columns] or not (count == TOGETHER or (groups == 1 and count > 0)):
            raise fail(operation, "must read whole groups of neighbours, or the first of one group, for each column")
    words = TileType((groups, columns), ir.IntegerType.get_signless(32), type_.lanes)
    depth_axis, column_axis, _ = access.dims
    if depth_axis == len(access.indices) - 1:
        made = load_columns(words, lambda *place: _load_words(access, column_axis, type_.lanes, count, *place))
    else:
        dense = TileType(words.shape, type_.element_type, F32.bytes * type_.lanes)
        rows = [memory.load(_every_fourth(access, row), dense) for row in range(count)]
        made = recut(interleaved(rows, words), words).values
    return Tile(type_, [_bytes(value, piece.lanes) for value, piece in zip(made, type_.pieces * groups, strict=True)])


def _every_fourth(access: Access, first: int) -> Access:
    """Every fourth row, from a row of the tile on."""
    axis, column_axis, _ = access.dims
    return dataclasses.replace(
        access, indices=_moved(access.indices, axis, first), sizes=[], dims=[axis, column_axis], strides=[TOGETHER, 1]
    )


def _load_words(
    access: Access, column_axis: int, lanes: int, count: int, first: int, column: int, words: int
) -> ir.Value:
    """Words of a column, which is a run of memory, in a whole vector; of a word, only `count` bytes may be there."""
    start = _moved(access.indices, column_axis, column)
    start = _moved(start, len(start) - 1, first * TOGETHER)
    type_ = ir.VectorType.get([lanes * TOGETHER], ir.IntegerType.get_signless(8))
    if words == lanes and count == TOGETHER:
        run = vector.load(type_, access.memory, start)
    else:
        mask_type = ir.VectorType.get(type_.shape, ir.IntegerType.get_signless(1))
        mask = vector.create_mask(mask_type, [index_constant((words - 1) * TOGETHER + count)])
        zero = arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, ir.IntegerAttr.get(type_.element_type, 0)))
        run = vector.maskedload(type_, access.memory, start, mask, zero)
    return vector.bitcast(ir.VectorType.get([lanes], ir.IntegerType.get_signless(32)), run)


def _moved(indices: list[ir.Value], axis: int, by: int) -> list[ir.Value]:
    moved = list(indices)
    moved[axis] = arith.addi(moved[axis], index_constant(by)) if by else moved[axis]
    return moved


def _bytes(word: ir.Value, lanes: int) -> ir.Value:
    """Words, or one, as bytes."""
    type_ = ir.VectorType.get([lanes], ir.IntegerType.get_signless(8))
    return vector.bitcast(type_, word if isinstance(word.type, ir.VectorType) else widened(word, 1))
