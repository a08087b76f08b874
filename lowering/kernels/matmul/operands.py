"""The operands of a matmul kernel: where tiles of them are read, and how they get into local memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Protocol, TypeAlias

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.graph.payload_types import compute_type
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.packing import PLAIN, Pack, Packing, PackWithSums
from terrace.lowering.kernels.view import KernelView
from terrace.mlir import ir

COPIED = 16
"""Rows of rhs that are copied together."""

COPIED_COLUMNS = 64
"""The most columns of lhs that are copied together."""

Place: TypeAlias = tuple[Index, Index]
"""A row and a column."""


class Source(Protocol):
    """What tiles of an operand are read from."""

    @property
    def depth(self) -> int:
        """The multiple that blocks along k must be of."""

    @property
    def held(self) -> ir.Type:
        """The element type of its tiles."""

    def load(
        self,
        b: LoopBuilder,
        at: Place,
        shape: tuple[int, int],
        valid: tuple[Index | None, Index | None] = (None, None),
    ) -> ir.Value:
        """The tile of `shape` at this row and column."""


@dataclasses.dataclass(frozen=True)
class Matrix(Source):
    """An operand as tiles read it: memory, its axes of rows and columns, the indices of its batch, how it was laid out,
    and the row and the column that stand first in memory.
    """

    memory: ir.Value
    axes: tuple[int, int]
    batch: tuple[Index, ...] = ()
    packing: Packing = PLAIN
    first: Place = (0, 0)
    as_stored: bool = False

    @property
    def depth(self) -> int:
        """How many neighbours along k stand beside each other, for an atom."""
        return math.prod(self.packing.inner_tiles[1:]) if isinstance(self.packing, Pack) else 1

    @property
    def held(self) -> ir.Type:
        return compute_type(element_type_of(self.memory))

    def load(
        self,
        b: LoopBuilder,
        at: Place,
        shape: tuple[int, int],
        valid: tuple[Index | None, Index | None] = (None, None),
    ) -> ir.Value:
        return self.packing.load(b, self.memory, self._indices(b, at), shape, self.axes, valid, self.as_stored)

    def load_groups(self, b: LoopBuilder, at: Place, shape: tuple[int, int], depth: int) -> ir.Value:
        """The tile [rows / depth, columns, depth] of what nothing laid out: neighbours along a column stand together.

        Rows fill groups, or are fewer than one; what it lacks is undefined.
        """
        (rows, columns), (row_axis, column_axis) = shape, self.axes
        shape_of_tile, valid = (-(-rows // depth), columns, depth), (None, None, rows % depth or None)
        dims, strides = (row_axis, column_axis, row_axis), (depth, 1, 1)
        return b.load(self.memory, self._indices(b, at), shape_of_tile, dims, strides, valid, as_stored=True)

    def _indices(self, b: LoopBuilder, at: Place) -> list[Index]:
        indices: list[Index] = [*self.batch, 0, 0]
        for axis, place, first in zip(self.axes, at, self.first, strict=True):
            indices[axis] = b.sub(place, first)
        return indices


def lhs_of(kernel: KernelView, batch: tuple[Index, ...]) -> Matrix:
    """lhs in the memory of all."""
    rank = len(batch)
    as_stored = kernel.schedule.atom is not None
    return Matrix(kernel.memory_of(kernel.root.operands[0]), (rank, rank + 1), batch, as_stored=as_stored)


def rhs_of(kernel: KernelView, batch: tuple[Index, ...]) -> Matrix:
    """rhs in the memory of all, in blocks of columns where a packing says so. Refuses other packings."""
    root, schedule = kernel.root, kernel.schedule
    value, transposed, with_atom = root.operands[1], attributes_of(root).transpose_rhs, schedule.atom is not None
    memory, layout, rank = kernel.memory_of(value), kernel.packing_of(value), len(batch)
    axes = (rank + 1, rank) if transposed else (rank, rank + 1)
    by_worker = isinstance(schedule.cut("local").enters.get("rhs"), PackWithSums)
    if layout is None and (by_worker or not with_atom):
        return Matrix(memory, axes, batch)
    k_axis, n_axis = axes
    if (
        batch
        or not isinstance(layout, Pack)
        or layout.inner_dims != ((n_axis, k_axis) if with_atom else (n_axis,))
        or layout.outer_permutation != (n_axis, k_axis)
    ):
        wanted = "[n/w][k/q][w][q] for an atom" if with_atom else "[n/w][k][w]"
        raise kernel.refuse(f"the layout of rhs must be blocks of columns, {wanted}, without a batch")
    width, depth = layout.inner_tiles[0], layout.inner_tiles[1] if with_atom else 1
    if isinstance(layout, PackWithSums) and not with_atom:
        raise kernel.refuse("rhs has sums beside it, which only an atom needs")
    if with_atom and schedule.staged:
        raise kernel.refuse("an atom reads rhs as it was packed; nothing must enter 'local'")
    if schedule.tile("k") % depth:
        raise kernel.refuse(f"tile size {schedule.tile('k')} of 'k' must be a multiple of the {depth} packed")
    if width % schedule.tile("n"):
        raise kernel.refuse(f"tile size {schedule.tile('n')} of 'n' must divide the layout's block of {width}")
    return Matrix(memory, axes, packing=layout)


@dataclasses.dataclass(frozen=True)
class LocalMatrices:
    """Local memory for what a block needs of each operand that the schedule copies, by name.

    lhs is [m, k], rhs [n/w][k][w] in blocks of columns as wide as a tile.
    """

    memory: Mapping[str, ir.Value]
    columns: Pack

    @staticmethod
    def allocate(
        b: LoopBuilder, kernel: KernelView, sources: Mapping[str, Source], block: Mapping[str, Index]
    ) -> LocalMatrices:
        """Memory for a block of these sizes. Refuses one whose size is known at run time only."""
        width, memory = kernel.schedule.tile("n"), {}
        for name, (row, column) in {"lhs": ("m", "k"), "rhs": ("k", "n")}.items():
            if name not in kernel.schedule.staged:
                continue
            rows, columns = block[row], block[column]
            if not isinstance(rows, int) or not isinstance(columns, int):
                raise kernel.refuse(f"can stage {name} only when its block has a static size")
            source = sources[name]
            if isinstance(source, Matrix) and source.packing != PLAIN:
                raise kernel.refuse(f"can stage {name} only when it is row-major")
            shape = [rows, columns] if name == "lhs" else [-(-columns // width), rows, width]
            memory[name] = b.alloc(shape, source.held)
        return LocalMatrices(memory, Pack((1, 0), (1,), (width,)))

    def fill(
        self,
        b: LoopBuilder,
        sources: Mapping[str, Source],
        start: Mapping[str, Index],
        block: Mapping[str, int],
        end: Mapping[str, Index],
    ) -> dict[str, Source]:
        """`sources`, those with memory of their own copied from `start` on, a block of each dimension or up to `end`.

        A block of 0 is all of a dimension.
        """
        copied = dict(sources)
        for name, memory in self.memory.items():
            rows, columns = ("m", "k") if name == "lhs" else ("k", "n")
            first = (start.get(rows, 0), start.get(columns, 0))
            packing = self.columns if name == "rhs" else PLAIN
            copied[name] = Matrix(memory, (0, 1), packing=packing, first=first)
            copy = _copy_columns if name == "rhs" else _copy_rows
            copy(b, sources[name], memory, first, (block[rows], block[columns]), (end[rows], end[columns]))
        return copied


def _copy_rows(
    b: LoopBuilder, source: Source, memory: ir.Value, start: Place, block: tuple[int, int], end: Place
) -> None:
    together = max(size for size in range(1, COPIED_COLUMNS + 1) if block[1] % size == 0)
    with b.for_each(start[0], b.min(b.add(start[0], block[0]), end[0]) if block[0] else end[0]) as row:

        def copy(column: Index, size: int, valid: Index | None) -> None:
            tile = source.load(b, (row, column), (1, size), (None, valid))
            place = [b.sub(row, start[0]), b.sub(column, start[1])]
            b.store(tile, memory, place, [0, 1], valid=[None, valid])

        b.tiles(start[1], block[1], end[1], together, copy)


def _copy_columns(
    b: LoopBuilder, source: Source, memory: ir.Value, start: Place, block: tuple[int, int], end: Place
) -> None:
    """Into blocks of columns."""
    rows, columns = block
    last = b.min(b.add(start[0], rows), end[0]) if rows else end[0]
    together = COPIED if all(isinstance(size, int) and size % COPIED == 0 for size in (rows, end[0])) else 1
    width = shape_of(memory)[2]

    def copy(column: Index, size: int, valid: Index | None) -> None:
        with b.for_each(start[0], last, together) as row:
            tile = source.load(b, (row, column), (together, size), (None, valid))
            place = [b.floordiv(b.sub(column, start[1]), width), b.sub(row, start[0]), 0]
            b.store(tile, memory, place, [1, 2], valid=[None, valid])

    b.tiles(start[1], columns, end[1], width, copy)
