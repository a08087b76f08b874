"""Which elements of a tile each invocation of a workgroup holds.

The invocations stand in a grid of rows and columns. Invocation (y, x) holds the rows y, y + Y, ... of a tile and of
each the columns x, x + X, ...: neighbours in memory are read by neighbours. A dimension of the tile that is not spread
is held whole by every invocation; so is a dimension of size 1.
"""

from __future__ import annotations

import dataclasses
import math

from terrace.mlir import ir


@dataclasses.dataclass(frozen=True)
class Grid:
    """Rows and columns of invocations."""

    rows: int
    columns: int


def row_grid(columns: int, invocations: int) -> Grid:
    """As many invocations along a row as it has elements: consecutive invocations read consecutive memory."""
    across = min(invocations, 1 << (columns - 1).bit_length())
    return Grid(invocations // across, across)


def balanced_grid(rows: int, columns: int, invocations: int) -> Grid:
    """The grid with the fewest operands per invocation of a contraction: near to square fragments."""
    grids = [Grid(invocations >> i, 1 << i) for i in range(invocations.bit_length())]

    def loads(grid: Grid) -> tuple[int, int]:
        return (-(-rows // grid.rows) + -(-columns // grid.columns), -grid.columns)

    return min(grids, key=loads)


@dataclasses.dataclass(frozen=True)
class FragmentType:
    """The part of a tile of this shape that an invocation holds; the leading dimensions count as one, the rows."""

    shape: tuple[int, ...]
    element_type: ir.Type
    grid: Grid
    spread_rows: bool = True
    spread_columns: bool = True

    @property
    def tile_rows(self) -> int:
        return math.prod(self.shape[:-1])

    @property
    def tile_columns(self) -> int:
        return self.shape[-1]

    @property
    def row_step(self) -> int:
        """The distance between rows that an invocation holds; 1 where rows are not spread."""
        return self.grid.rows if self.spread_rows and self.tile_rows > 1 else 1

    @property
    def column_step(self) -> int:
        return self.grid.columns if self.spread_columns and self.tile_columns > 1 else 1

    @property
    def rows(self) -> int:
        """How many rows an invocation holds."""
        return -(-self.tile_rows // self.row_step)

    @property
    def columns(self) -> int:
        return -(-self.tile_columns // self.column_step)

    @property
    def count(self) -> int:
        """How many elements an invocation holds."""
        return self.rows * self.columns

    def exceeds_rows(self, row: int) -> bool:
        """Whether row number `row` of some invocation's fragment lies outside the tile."""
        return (row + 1) * self.row_step > self.tile_rows

    def exceeds_columns(self, column: int) -> bool:
        return (column + 1) * self.column_step > self.tile_columns


@dataclasses.dataclass(frozen=True)
class Fragment:
    """The elements that an invocation holds, row by row."""

    type: FragmentType
    values: list[ir.Value]

    def element(self, row: int, column: int) -> ir.Value:
        return self.values[row * self.type.columns + column]
