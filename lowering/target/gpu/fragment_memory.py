"""How the invocations of a workgroup move their fragments between memory and registers.

A position outside of a tile is clamped into it, so that every invocation loads something that is there. Where part of
a tile itself may be out of bounds, loads are conditional, as all stores are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.target.gpu.fragment import Fragment, FragmentType, Grid
from terrace.lowering.target.tile_access import Access, constant_of
from terrace.mlir import arith, gpu, ir, memref, scf


class FragmentMemory:
    """Emits the loads and stores of fragments at the current insertion point."""

    def __init__(self, b: LoopBuilder) -> None:
        self.b = b

    # -- positions ------------------------------------------------------------------------------------------------

    def invocation(self, grid: Grid) -> tuple[Index, Index]:
        """The row and column of this invocation in a grid."""
        number = gpu.thread_id(gpu.Dimension.x)
        return self.b.floordiv(number, grid.columns), self.b.mod(number, grid.columns) if grid.columns > 1 else 0

    def _row_and_column(self, type_: FragmentType, row: int, column: int) -> tuple[Index, Index]:
        """The place in the tile of the element at (row, column) of the fragment; it may lie outside the tile."""
        y, x = self.invocation(type_.grid)
        return (
            self.b.add(y, row * type_.row_step) if type_.row_step > 1 else row,
            self.b.add(x, column * type_.column_step) if type_.column_step > 1 else column,
        )

    def _position(self, type_: FragmentType, row: Index, column: Index) -> list[Index]:
        """The position along each dimension of the tile."""
        position = [column]
        for number, size in enumerate(reversed(type_.shape[:-1])):
            is_outermost = number == len(type_.shape) - 2
            position.append(row if is_outermost else self.b.mod(row, size))
            row = row if is_outermost else self.b.floordiv(row, size)
        return list(reversed(position))

    def positions(self, type_: FragmentType, dim: int, start: ir.Value) -> list[ir.Value]:
        """`start` plus the position along `dim` of the tile of each element of the fragment, in its element type."""
        places = [self._position(type_, *self._row_and_column(type_, row, column)) for row, column in elements(type_)]
        return [arith.index_cast(type_.element_type, self.b.value(self.b.add(start, at[dim]))) for at in places]

    def _indices(self, access: Access, position: list[Index]) -> list[ir.Value]:
        indices: list[Index] = list(access.indices)
        for at, dim, stride in zip(position, access.dims, access.strides, strict=True):
            if dim >= 0:
                indices[dim] = self.b.add(indices[dim], self.b.mul(at, stride))
        return [self.b.value(index) for index in indices]

    # -- loads ----------------------------------------------------------------------------------------------------

    def load(self, access: Access, type_: FragmentType) -> Fragment:
        moves_down = any(dim >= 0 for dim in access.dims[:-1])
        moves_across = access.dims[-1] >= 0
        loaded: dict[tuple[int, int], ir.Value] = {}
        values = []
        for row, column in elements(type_):
            key = (row if moves_down else 0, column if moves_across else 0)
            if key not in loaded:
                loaded[key] = self._load_element(access, type_, self._clamped(type_, *key))
            values.append(loaded[key])
        return Fragment(type_, values)

    def _clamped(self, type_: FragmentType, row: int, column: int) -> list[Index]:
        at_row, at_column = self._row_and_column(type_, row, column)
        if type_.exceeds_rows(row):
            at_row = self.b.min(at_row, type_.tile_rows - 1)
        if type_.exceeds_columns(column):
            at_column = self.b.min(at_column, type_.tile_columns - 1)
        return self._position(type_, at_row, at_column)

    def _load_element(self, access: Access, type_: FragmentType, position: list[Index]) -> ir.Value:
        """What is out of bounds reads as zero."""
        inside = self._in_bounds(position, type_.shape, access.sizes)
        if not inside:
            return memref.load(access.memory, self._indices(access, position))
        element_type = type_.element_type
        operation = scf.IfOp(_all(inside), [element_type], has_else=True)
        with ir.InsertionPoint(operation.then_block):
            scf.YieldOp([memref.load(access.memory, self._indices(access, position))])
        with ir.InsertionPoint(operation.else_block):
            scf.YieldOp([arith.constant(element_type, 0.0 if isinstance(element_type, ir.FloatType) else 0)])
        return operation.results[0]

    def _in_bounds(self, position: list[Index], shape: Sequence[int], sizes: list[ir.Value]) -> list[ir.Value]:
        """The conditions under which a position of a tile, of which only `sizes` may be in bounds, is so."""
        return [
            self.b.less(at, bound)
            for at, size, bound in zip(position, shape, sizes or shape, strict=True)
            if not isinstance(bound, int) and constant_of(bound) != size
        ]

    # -- stores ---------------------------------------------------------------------------------------------------

    def store(self, access: Access, fragment: Fragment) -> None:
        for (row, column), value in zip(elements(fragment.type), fragment.values, strict=True):
            position = self._position(fragment.type, *self._row_and_column(fragment.type, row, column))
            conditions = self.inside(fragment.type, row, column, access.sizes)
            if conditions is None:
                memref.store(value, access.memory, self._indices(access, position))
                continue
            with self.b.when(conditions):
                memref.store(value, access.memory, self._indices(access, position))

    def inside(self, type_: FragmentType, row: int, column: int, sizes: list[ir.Value]) -> ir.Value | None:
        """Whether this invocation is the one to answer for an element, which is in bounds; None if always."""
        y, x = self.invocation(type_.grid)
        at_row, at_column = self._row_and_column(type_, row, column)
        conditions = []
        if type_.exceeds_rows(row):
            conditions.append(self.b.less(at_row, type_.tile_rows))
        if type_.exceeds_columns(column):
            conditions.append(self.b.less(at_column, type_.tile_columns))
        # Of the invocations that hold the same element, the first answers.
        if type_.row_step == 1 and type_.grid.rows > 1:
            conditions.append(self.b.less(y, 1))
        if type_.column_step == 1 and type_.grid.columns > 1:
            conditions.append(self.b.less(x, 1))
        conditions += self._in_bounds(self._position(type_, at_row, at_column), type_.shape, sizes)
        return _all(conditions) if conditions else None


def _all(conditions: list[ir.Value]) -> ir.Value:
    return functools.reduce(arith.andi, conditions)


def elements(type_: FragmentType) -> Iterator[tuple[int, int]]:
    """Row and column, within the fragment, of each element that it holds."""
    return ((row, column) for row in range(type_.rows) for column in range(type_.columns))
