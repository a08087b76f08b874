"""What Winograd's tiles read, transformed into local memory.

A part of a row of tiles is transformed down its columns first, one strip [points, columns, lanes] of a vector of
channels at a time, as neighbouring tiles share columns; then along the rows of each tile. Outside the image are zeros.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.conv2d.winograd_shape import STRIP, WinogradShape
from terrace.lowering.kernels.conv2d.winograd_tiles import INPUT_FACTORS, INPUTS
from terrace.lowering.kernels.view import KernelView
from terrace.mlir import ir


@dataclasses.dataclass(frozen=True)
class Block:
    """The tiles of a workgroup: the image, the first one's number, how many there are, and how many a row has."""

    image: Index
    first: Index
    count: Index
    columns: Index


@dataclasses.dataclass(frozen=True)
class Strip:
    """The pixels under `tiles` neighbours in a row of tiles, of one vector of channels; `first` is the number of the
    first in its block.

    `row` and `column` are the first pixel's in padded coordinates, in which the image begins at (top, left). It has so
    many `columns`, of which those from `begin` to `end` are in the image.
    """

    first: Index
    tiles: Index
    row: Index
    column: Index
    columns: Index
    begin: Index
    end: Index
    channel: Index
    lanes: int


class InputTransform:
    """The loops of a block of tiles; `planes` is the local memory that they fill, [plane, tile, channel]."""

    def __init__(
        self, b: LoopBuilder, kernel: KernelView, shape: WinogradShape, block: Block, planes: ir.Value
    ) -> None:
        self.b, self.shape, self.block, self.planes = b, shape, block, planes
        self.image = kernel.memory_of(kernel.root.operands[0])
        self.height, self.width = b.size(self.image, 1), b.size(self.image, 2)
        self.type_ = element_type_of(planes)
        self.top, _, self.left, _ = attributes_of(kernel.root).padding
        self.strip = b.alloc([shape.points, shape.strip_columns, shape.lanes], self.type_)

    def emit(self) -> None:
        """Row by row of tiles, of which the first and the last may be in the block in part; strip by strip."""
        b, block = self.b, self.block
        end = b.add(block.first, block.count)
        with b.for_each(b.floordiv(block.first, block.columns), b.ceildiv(end, block.columns)) as row:
            start = b.mul(row, block.columns)
            first, last = b.max(b.sub(block.first, start), 0), b.min(b.sub(end, start), block.columns)
            with b.for_each(first, last, STRIP) as column:
                self._strip(row, column, b.min(STRIP, b.sub(last, column)), b.sub(b.add(start, column), block.first))

    def _strip(self, row: Index, column: Index, tiles: Index, number: Index) -> None:
        """So many `tiles` from a row and column of tiles on, the first of which has this number in the block."""
        b, shape = self.b, self.shape
        top, left = b.mul(row, shape.outputs), b.mul(column, shape.outputs)
        columns = b.add(b.mul(tiles, shape.outputs), shape.points - shape.outputs)
        begin = b.max(b.sub(self.left, left), 0) if self.left else 0
        end = b.min(columns, b.sub(b.add(self.width, self.left), left))

        def vector(channel: Index, lanes: int, _: Index | None) -> None:
            strip = Strip(number, tiles, top, left, columns, begin, end, channel, lanes)
            self._down(strip)
            self._across(strip)

        b.tiles(0, 0, shape.depth, shape.lanes, vector)

    def _down(self, strip: Strip) -> None:
        b, shape = self.b, self.shape
        with b.for_each(0, shape.points) as row:
            self._clear(row, 0, strip.begin, strip.lanes)
            self._clear(row, strip.end, strip.columns, strip.lanes)
        if isinstance(self.height, int) and self.height < shape.points:
            self._transform_copy(strip)
            return
        last = b.max(b.sub(b.add(self.height, self.top + 1), shape.points), 0)
        branch = b.if_else(b.inside(strip.row, self.top, last))
        with ir.InsertionPoint(branch.then_block):
            with b.for_each(strip.begin, strip.end) as column:
                rows = range(shape.points)
                self._transform_column([self._load(strip, b.add(strip.row, row), column) for row in rows], column)
            b.end_branch()
        with ir.InsertionPoint(branch.else_block):
            self._transform_copy(strip)
            b.end_branch()

    def _load(self, strip: Strip, row: Index, column: Index) -> ir.Value:
        """A pixel of the image; `row` is in padded coordinates, `column` counts from the strip's begin."""
        b = self.b
        at = [b.sub(row, self.top), b.sub(b.add(strip.column, column), self.left)]
        return b.load(self.image, [self.block.image, *at, strip.channel], [strip.lanes], [3])

    def _transform_copy(self, strip: Strip) -> None:
        """Where rows may be outside: they are copied into the strip, or cleared, and transformed there."""
        b, shape = self.b, self.shape
        with b.for_each(0, shape.points) as number:
            row = b.add(strip.row, number)
            branch = b.if_else(b.inside(row, self.top, b.add(self.height, self.top)))
            with ir.InsertionPoint(branch.then_block):
                with b.for_each(strip.begin, strip.end) as column:
                    b.store(self._load(strip, row, column), self.strip, [number, column, 0], [2])
                b.end_branch()
            with ir.InsertionPoint(branch.else_block):
                self._clear(number, strip.begin, strip.end, strip.lanes)
                b.end_branch()
        with b.for_each(strip.begin, strip.end) as column:
            pixels = [b.load(self.strip, [row, column, 0], [strip.lanes], [2]) for row in range(shape.points)]
            self._transform_column(pixels, column)

    def _transform_column(self, pixels: list[ir.Value], column: Index) -> None:
        for row, value in enumerate(self._transformed(pixels)):
            self.b.store(value, self.strip, [row, column, 0], [2])

    def _transformed(self, values: list[ir.Value]) -> list[ir.Value]:
        b, outputs = self.b, self.shape.outputs
        factors = [b.splat(shape_of(values[0]), self.type_, factor) for factor in INPUT_FACTORS[outputs]]
        return INPUTS[outputs](b, factors, values)

    def _clear(self, row: Index, first: Index, last: Index, lanes: int) -> None:
        b = self.b
        if isinstance(first, int) and isinstance(last, int) and first >= last:
            return
        with b.for_each(first, last) as column:
            b.store(b.splat([lanes], self.type_, 0.0), self.strip, [row, column, 0], [2])

    def _across(self, strip: Strip) -> None:
        """Transform each tile of the strip along its rows, into the planes."""
        b, shape = self.b, self.shape
        with b.for_each(0, strip.tiles) as tile, b.for_each(0, shape.points) as row:
            left, plane = b.mul(tile, shape.outputs), b.mul(row, shape.points)
            values = [b.load(self.strip, [row, b.add(left, i), 0], [strip.lanes], [2]) for i in range(shape.points)]
            for number, value in enumerate(self._transformed(values)):
                place = [b.add(plane, number), b.add(strip.first, tile), strip.channel]
                b.store(value, self.planes, place, [2])
