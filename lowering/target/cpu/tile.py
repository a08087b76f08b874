"""A tile as a CPU holds it: rows of pieces, each piece a native vector."""

from __future__ import annotations

import dataclasses
import functools
import math as pymath
from collections.abc import Sequence

from terrace.lowering.graph.payload_types import is_float, scalar_type
from terrace.mlir import arith, ir, vector


@dataclasses.dataclass(frozen=True)
class Piece:
    """Part of a row: `count` elements from `offset` on, in a vector of `lanes` (lanes > count: the rest is masked)."""

    offset: int
    count: int
    lanes: int

    def times(self, depth: int) -> Piece:
        """The piece where each lane is so many elements."""
        return Piece(self.offset * depth, self.count * depth, self.lanes * depth)

    def type_of(self, element_type: ir.Type) -> ir.Type:
        """The piece's type: a vector, or the element type itself for one lane."""
        return element_type if self.lanes == 1 else ir.VectorType.get([self.lanes], element_type)


@functools.cache
def cut(size: int, lanes: int) -> tuple[Piece, ...]:
    """Cut a row of `size` elements into pieces of `lanes`; the rest into one narrower, or masked, vector."""
    full = size - size % lanes
    pieces = [Piece(offset, lanes, lanes) for offset in range(0, full, lanes)]
    rest = size - full
    if rest == 1 and not pieces:
        pieces.append(Piece(0, 1, 1))
    elif rest:
        narrow = rest if rest >= 4 and rest & (rest - 1) == 0 else min(lanes, 1 << rest.bit_length())
        pieces.append(Piece(full, rest, narrow))
    return tuple(pieces)


@dataclasses.dataclass(frozen=True)
class TileType:
    """The shape of a tile, and the lanes of the machine's vectors; `depth` neighbours along a row are one of them."""

    shape: tuple[int, ...]
    element_type: ir.Type
    lanes: int
    depth: int = 1

    @property
    def rows(self) -> int:
        return pymath.prod(self.shape[:-1])

    @property
    def pieces(self) -> tuple[Piece, ...]:
        pieces = cut(self.shape[-1] // self.depth, self.lanes)
        return pieces if self.depth == 1 else tuple(piece.times(self.depth) for piece in pieces)

    @property
    def types(self) -> list[ir.Type]:
        """Those of the values that hold it."""
        return [piece.type_of(self.element_type) for piece in self.pieces] * self.rows

    def row_index(self, row: int) -> tuple[int, ...]:
        """The position of a row along the leading dimensions."""
        index = []
        for size in reversed(self.shape[:-1]):
            index.append(row % size)
            row //= size
        return tuple(reversed(index))


@dataclasses.dataclass(frozen=True)
class Tile:
    """The pieces of a tile, row by row."""

    type: TileType
    values: list[ir.Value]

    def scalar(self, row: int, column: int) -> ir.Value:
        """One element; an extract when the tile is not held as scalars."""
        pieces = self.type.pieces
        index = next(i for i, p in enumerate(pieces) if p.offset <= column < p.offset + p.count)
        value = self.values[row * len(pieces) + index]
        if pieces[index].lanes == 1:
            return value
        return vector.extract(value, [], [column - pieces[index].offset])


def recut(tile: Tile, type_: TileType) -> Tile:
    """The same tile in vectors of fewer or more lanes."""
    values: list[ir.Value] = []
    own = tile.type.pieces
    for row in range(type_.rows):
        parts = list(zip(own, tile.values[row * len(own) : (row + 1) * len(own)], strict=True))
        for piece in type_.pieces:
            end = piece.offset + piece.count
            inside = [(p, v) for p, v in parts if p.offset < end and piece.offset < p.offset + p.count]
            values.append(_gathered(piece, piece.type_of(type_.element_type), inside))
    return Tile(type_, values)


def _gathered(piece: Piece, made: ir.Type, parts: Sequence[tuple[Piece, ir.Value]]) -> ir.Value:
    """A piece from those that have its elements: from one that is wider, or several that it holds."""
    (first, value), count = parts[0], len(parts)
    if value.type == made:
        return value
    if first.lanes > piece.lanes:
        offset = piece.offset - first.offset
        return vector.extract_strided_slice(made, value, [offset], [piece.lanes], [1])
    if count & (count - 1) == 0 and all(v.type == value.type for _, v in parts) and count * first.lanes == piece.lanes:
        return joined([v for _, v in parts])
    result = widened(value, piece.lanes)
    for part, value in parts[1:]:
        result = vector.insert_strided_slice(widened(value, part.lanes), result, [part.offset - piece.offset], [1])
    return result


def widened(value: ir.Value, lanes: int) -> ir.Value:
    """A vector, or a number, in the first of so many lanes; the others are zero."""
    is_vector = isinstance(value.type, ir.VectorType)
    own = ir.VectorType(value.type).shape[0] if is_vector else 1
    if own == lanes and is_vector:
        return value
    element = scalar_type(value.type)
    wide = ir.VectorType.get([lanes], element)
    zero = ir.FloatAttr.get(element, 0.0) if is_float(element) else ir.IntegerAttr.get(element, 0)
    zeros = arith.constant(wide, ir.DenseElementsAttr.get_splat(wide, zero))
    if not is_vector:
        return vector.insert(value, zeros, [], [0])
    return vector.insert_strided_slice(value, zeros, [0], [1])


def narrowed(value: ir.Value, type_: ir.Type) -> ir.Value:
    """The first lanes of a vector that `widened` made of one of this type."""
    if value.type == type_:
        return value
    if not isinstance(type_, ir.VectorType):
        return vector.extract(value, [], [0])
    return vector.extract_strided_slice(type_, value, [0], [ir.VectorType(type_).shape[0]], [1])


def lanes_of(value: ir.Value) -> int:
    """The lanes of a vector."""
    return int(ir.VectorType(value.type).shape[0])


def split(value: ir.Value, lanes: int) -> list[ir.Value]:
    """A vector cut into some of so many lanes, or itself, where it has no more."""
    count = lanes_of(value)
    if count <= lanes:
        return [value]
    type_ = ir.VectorType.get([lanes], scalar_type(value.type))
    return [vector.extract_strided_slice(type_, value, [at], [lanes], [1]) for at in range(0, count, lanes)]


def joined(values: Sequence[ir.Value]) -> ir.Value:
    """Vectors of one type, a power of two of them, as one."""
    while len(values) > 1:
        lanes = range(2 * lanes_of(values[0]))
        values = [vector.shuffle(left, right, lanes) for left, right in zip(values[::2], values[1::2], strict=True)]
    return values[0]
