"""How a CPU makes the running sums of a row of a tile, and the like."""

from __future__ import annotations

from terrace.lowering.graph.payload_types import constant, follow, neutral
from terrace.lowering.target.cpu.tile import Piece, TileType, lanes_of
from terrace.mlir import ir, vector


def scan_row(type_: TileType, values: list[ir.Value], kind: str) -> tuple[list[ir.Value], ir.Value]:
    """The pieces of a row with what is so far at each element, and the number that all of the row makes."""
    running: list[ir.Value] = []
    whole: ir.Value | None = None
    for piece, value in zip(type_.pieces, values, strict=True):
        own = _scan_lanes(value, kind) if piece.lanes > 1 else value
        total = _last(piece, own)
        if whole is None:
            running, whole = [own], total
            continue
        before = vector.broadcast(own.type, whole) if piece.lanes > 1 else whole
        running.append(follow(kind, before, own))
        whole = follow(kind, whole, total)
    assert whole is not None, "tiles have elements"
    return running, whole


def _last(piece: Piece, value: ir.Value) -> ir.Value:
    return vector.extract(value, [], [piece.count - 1]) if piece.lanes > 1 else value


def _scan_lanes(value: ir.Value, kind: str) -> ir.Value:
    """Each step doubles how many lanes each one has joined, by moving the lanes up."""
    lanes, element = lanes_of(value), ir.VectorType(value.type).element_type
    nothing = constant(value.type, neutral(kind, element))
    step = 1
    while step < lanes:
        moved = [lanes + i if i < step else i - step for i in range(lanes)]
        value = follow(kind, vector.shuffle(value, nothing, moved), value)
        step *= 2
    return value
