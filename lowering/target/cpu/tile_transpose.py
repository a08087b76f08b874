"""Tiles whose columns are runs of memory: moved as those runs, and transposed in registers.

Element by element, a tile of 16 x 16 would take 256 loads, and as many insertions; here it takes 16 loads and 64
shuffles (Eklundh, 1972).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrace.lowering.target.cpu.tile import TileType, narrowed, widened
from terrace.lowering.target.tile_access import Access
from terrace.mlir import ir, vector

FEWEST = 3
"""Rows and columns below which elements are moved one by one."""


def is_transposed(access: Access, type_: TileType) -> bool:
    """Whether the columns of a matrix are runs of memory, and many enough."""
    if len(type_.shape) != 2 or type_.depth > 1 or min(*type_.shape, type_.lanes) < FEWEST or access.strides[0] != 1:
        return False
    return access.dims[0] == len(access.indices) - 1 and access.dims[1] >= 0


def load_columns(type_: TileType, load: Callable[[int, int, int], ir.Value]) -> list[ir.Value]:
    """The pieces of a tile, row by row; `load(row, column, count)` gives so many elements of a column in a vector."""
    lanes, (rows, _) = type_.lanes, type_.shape
    values: list[list[ir.Value]] = [[] for _ in range(rows)]
    for piece in type_.pieces:
        for first in range(0, rows, lanes):
            count = min(lanes, rows - first)
            columns = [load(first, piece.offset + i, count) for i in range(piece.count)]
            block = transpose([*columns, *columns[-1:] * (lanes - len(columns))])
            for row in range(count):
                values[first + row].append(narrowed(block[row], piece.type_of(type_.element_type)))
    return [value for row in values for value in row]


def store_columns(
    type_: TileType, values: Sequence[ir.Value], store: Callable[[int, int, int, ir.Value], None]
) -> None:
    """The reverse: `store(row, column, count, vector)` writes so many elements of a column."""
    lanes, (rows, _), width = type_.lanes, type_.shape, len(type_.pieces)
    for number, piece in enumerate(type_.pieces):
        for first in range(0, rows, lanes):
            count = min(lanes, rows - first)
            block = [widened(values[(first + row) * width + number], lanes) for row in range(count)]
            columns = transpose([*block, *block[-1:] * (lanes - count)])
            for i in range(piece.count):
                store(first, piece.offset + i, count, columns[i])


def transpose(rows: Sequence[ir.Value]) -> list[ir.Value]:
    """The columns of a square of vectors, whose size is a power of two: bit by bit, rows and lanes change places."""
    result, size = list(rows), len(rows)
    lanes, bit = range(size), 1
    while bit < size:
        upper = [lane if not lane & bit else size + lane - bit for lane in lanes]
        lower = [lane + bit if not lane & bit else size + lane for lane in lanes]
        for row in (row for row in lanes if not row & bit):
            pair = result[row], result[row + bit]
            result[row], result[row + bit] = vector.shuffle(*pair, upper), vector.shuffle(*pair, lower)
        bit *= 2
    return result
