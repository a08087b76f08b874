"""`loop.contract_tile` on a CPU: multiply-adds of scalars of lhs with vectors of rhs, or an atom's steps."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from terrace.lowering.graph.payload_types import cast, constant, multiply_add
from terrace.lowering.target.cpu.atoms import CpuAtom
from terrace.lowering.target.cpu.tile import Tile, TileType, narrowed, recut, widened
from terrace.lowering.target.cpu.tile_blocks import BlockType
from terrace.mlir import arith, ir, vector


def wanted_lhs(usual: TileType, atom: CpuAtom | None) -> TileType:
    """lhs as the scalars that are broadcast, or as the neighbours along k that a step takes."""
    return dataclasses.replace(usual, lanes=atom.depth if atom else 1)


def wanted_rhs(usual: TileType, atom: CpuAtom | None) -> TileType:
    """rhs as rows; with an atom the neighbours along k stand beside each other in them."""
    return usual if atom is None else together(usual)


def together(usual: TileType) -> TileType:
    """A tile whose last dimension stands as part of the rows along the one before."""
    *rows, columns, depth = usual.shape
    return dataclasses.replace(usual, shape=(*rows, columns * depth), depth=depth)


def contract(lhs: Tile, rhs: Tile, accumulator: Tile) -> Tile:
    """The accumulator with all products added by multiply-adds, k ascending."""
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
                values[at] = multiply_add(broadcast[piece_type], right[column], values[at])
    return Tile(type_, values)


def contract_by(atom: CpuAtom, lhs: Tile, rhs: Tile, accumulator: Tile) -> Tile:
    """The accumulator with all products added by an atom's steps; pieces of widths that it lacks are widened."""
    type_ = accumulator.type
    values = list(accumulator.values)
    columns, groups = len(type_.pieces), len(lhs.type.pieces)
    for group in range(rhs.type.rows):
        right = rhs.values[group * columns : (group + 1) * columns]
        for row in range(type_.rows):
            word = _word(lhs.values[row * groups + group], lhs.type.pieces[group].count)
            for column, piece in enumerate(type_.pieces):
                at = row * columns + column
                lanes = next(lanes for lanes in sorted(atom.lanes) if lanes >= piece.lanes)
                left = _bitcast(vector.broadcast(ir.VectorType.get([lanes], word.type), word), lhs.type.element_type)
                wide = widened(right[column], lanes * atom.depth)
                values[at] = narrowed(atom.step(widened(values[at], lanes), wide, left), values[at].type)
    return Tile(type_, values)


def contract_blocks(atom: CpuAtom, lhs: Tile, rhs: Tile, accumulator: Tile) -> Tile:
    """The accumulator with all products added by an atom that multiplies blocks, k ascending."""
    assert isinstance(lhs.type, BlockType) and isinstance(accumulator.type, BlockType)
    (_, groups), (rows, columns) = lhs.type.counts, accumulator.type.counts
    values = list(accumulator.values)
    for group, row, column in itertools.product(range(groups), range(rows), range(columns)):
        at, left, right = row * columns + column, row * groups + group, group * columns + column
        values[at] = atom.step(values[at], rhs.values[right], lhs.values[left])
    return Tile(accumulator.type, values)


def dot_by(atom: CpuAtom, lhs: Sequence[Tile], rhs: Tile, accumulator: Tile) -> Tile:
    """The accumulator with the products of neighbours added by an atom's steps, for each element."""
    type_, values = accumulator.type, []
    words = recut(interleaved(lhs, type_), type_)
    for value, word, right in zip(accumulator.values, words.values, rhs.values, strict=True):
        own = ir.VectorType(value.type).shape[0] if isinstance(value.type, ir.VectorType) else 1
        lanes = next(lanes for lanes in sorted(atom.lanes) if lanes >= own)
        left = _bitcast(widened(word, lanes), rhs.type.element_type)
        step = atom.step(widened(value, lanes), widened(right, lanes * atom.depth), left)
        values.append(narrowed(step, value.type))
    return Tile(type_, values)


def interleaved(tiles: Sequence[Tile], type_: TileType) -> Tile:
    """Words of i32 whose bytes are those of four tiles; what is missing is zero."""
    held = dataclasses.replace(tiles[0].type, element_type=type_.element_type)
    zeros = [constant(value.type, 0) for value in tiles[0].values]
    four = [*(tile.values for tile in tiles), *[zeros] * (4 - len(tiles))]
    return Tile(held, [_words(*parts) for parts in zip(*four, strict=True)])


def _words(first: ir.Value, second: ir.Value, third: ir.Value, fourth: ir.Value) -> ir.Value:
    """Bytes side by side, in vectors, or as numbers."""
    half, whole = (ir.IntegerType.get_signless(width) for width in (16, 32))
    if not isinstance(first.type, ir.VectorType):
        vectors = [widened(value, 2) for value in (first, second, third, fourth)]
        return vector.extract(_words(*vectors), [], [0])
    pairs = (_bitcast(vector.interleave(*pair), half) for pair in ((first, second), (third, fourth)))
    return _bitcast(vector.interleave(*pairs), whole)


def _word(group: ir.Value, count: int) -> ir.Value:
    """Neighbours along k, of which the first `count` are there, as an i32; what is missing is zero."""
    if isinstance(group.type, ir.VectorType):
        type_ = ir.VectorType(group.type)
        width = _width(type_.element_type)
        bits = type_.shape[0] * width
        number = vector.extract(_bitcast(group, ir.IntegerType.get_signless(bits)), [], [0])
        if count < type_.shape[0]:  # a computed tile has numbers there, too
            number = arith.andi(number, constant(number.type, (1 << count * width) - 1))
    else:
        bits = _width(group.type)
        number = group if bits == 8 else arith.bitcast(ir.IntegerType.get_signless(bits), group)
    return number if bits == 32 else arith.extui(ir.IntegerType.get_signless(32), number)


def _width(type_: ir.Type) -> int:
    return int(type_.width if isinstance(type_, ir.FloatType) else ir.IntegerType(type_).width)


def _bitcast(value: ir.Value, element_type: ir.Type) -> ir.Value:
    """A vector of the same bits, of another element type."""
    type_ = ir.VectorType(value.type)
    if type_.element_type == element_type:
        return value
    count = type_.shape[0] * _width(type_.element_type) // _width(element_type)
    return vector.bitcast(ir.VectorType.get([count], element_type), value)
