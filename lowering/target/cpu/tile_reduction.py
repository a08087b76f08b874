"""How a CPU reduces a row of a tile to one number."""

from __future__ import annotations

import functools

from terrace.lowering.graph.payload_types import combine, constant, is_float, neutral
from terrace.lowering.target.cpu.tile import Piece, Tile, TileType
from terrace.mlir import arith, ir, vector


def reduce_row(type_: TileType, values: list[ir.Value], kind: str, count: ir.Value | None) -> ir.Value:
    """The scalar that the pieces of a row reduce to; with `count`, only that many elements of it count."""
    pieces = [_neutralise(piece, value, type_, kind, count) for piece, value in zip(type_.pieces, values, strict=True)]
    # Vectors of equal width are added in a tree, which also rounds better than one after another.
    scalars: list[ir.Value] = []
    for lanes in sorted({piece.lanes for piece in type_.pieces}, reverse=True):
        group = [v for piece, v in zip(type_.pieces, pieces, strict=True) if piece.lanes == lanes]
        total = _tree(group, kind)
        scalars.append(total if lanes == 1 else _across_lanes(total, type_.element_type, kind))
    return _tree(scalars, kind)


def _inside(piece: Piece, truths: ir.Value) -> ir.Value:
    """The truth values of a piece; what is behind them is false."""
    if piece.count == piece.lanes:
        return truths
    bits = [ir.BoolAttr.get(lane < piece.count) for lane in range(piece.lanes)]
    return arith.andi(truths, arith.constant(truths.type, ir.DenseElementsAttr.get(bits, truths.type)))


def any_of(tile: Tile) -> ir.Value:
    """Whether a tile of truth values holds a true one."""
    by_lanes: dict[int, ir.Value] = {}
    for piece, value in zip(list(tile.type.pieces) * tile.type.rows, tile.values, strict=True):
        inside = _inside(piece, value)
        by_lanes[piece.lanes] = arith.ori(by_lanes[piece.lanes], inside) if piece.lanes in by_lanes else inside
    truth = tile.type.element_type
    found = [vector.reduction(truth, vector.CombiningKind.OR, v) if lanes > 1 else v for lanes, v in by_lanes.items()]
    return functools.reduce(arith.ori, found)


def _neutralise(piece: Piece, value: ir.Value, type_: TileType, kind: str, count: ir.Value | None) -> ir.Value:
    """Replace lanes out of bounds by what changes nothing."""
    if count is None and piece.count == piece.lanes:
        return value
    index = ir.IndexType.get()
    bound = arith.constant(index, piece.count)
    if count is not None:
        offset = arith.constant(index, piece.offset)
        bound = arith.subi(count, offset) if piece.offset else count
    piece_type = piece.type_of(type_.element_type)
    nothing = constant(piece_type, neutral(kind, type_.element_type))
    if piece.lanes == 1:
        inside = arith.cmpi(arith.CmpIPredicate.sgt, bound, arith.constant(index, 0))
        return arith.select(inside, value, nothing)
    mask = vector.create_mask(ir.VectorType.get([piece.lanes], ir.IntegerType.get_signless(1)), [bound])
    return arith.select(mask, value, nothing)


def _tree(values: list[ir.Value], kind: str) -> ir.Value:
    while len(values) > 1:
        paired = [combine(kind, a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = paired + ([values[-1]] if len(values) % 2 else [])
    return values[0]


def _across_lanes(value: ir.Value, element_type: ir.Type, kind: str) -> ir.Value:
    if not is_float(element_type):
        integer = vector.CombiningKind.MAXSI if kind == "max" else vector.CombiningKind.ADD
        return vector.reduction(element_type, integer, value)
    if kind == "max":
        return vector.reduction(element_type, vector.CombiningKind.MAXIMUMF, value)
    # Any order: a tree of shuffles, not one addition after another.
    return vector.reduction(element_type, vector.CombiningKind.ADD, value, fastmath=arith.FastMathFlags.reassoc)
