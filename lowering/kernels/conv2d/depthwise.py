"""The generator of a depthwise convolution with padding that reads its image in place, with its epilogue.

No copy of the image has the padding: a window over the edge is cut short. Rows are bounds of a loop. Along columns, a
tile at an edge falls into segments of pixels, each of which has all of its window's columns in the image or lacks the
same ones; the tiles between have one segment. Where only a call knows the width, columns are bounds of a loop for the
pixels at the edges; the last tile between them ends where these begin, and may compute pixels once more.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.packing import Packing
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import DYNAMIC, ir


@dataclasses.dataclass(frozen=True)
class Segment:
    """Neighbouring pixels of a tile, from `first` on, and those columns of the window that are in the image for all."""

    first: int
    count: int
    columns: range


@dataclasses.dataclass(frozen=True)
class Windows:
    """The windows along a row of output pixels: `size` input pixels, `taps` of a window, and where it stands."""

    size: int
    taps: int
    stride: int
    dilation: int
    low: int

    def columns(self, pixel: int) -> range:
        """The window's columns that are in the image."""
        start = pixel * self.stride - self.low
        inside = [tap for tap in range(self.taps) if 0 <= start + tap * self.dilation < self.size]
        return range(inside[0], inside[-1] + 1) if inside else range(0)

    def segments(self, start: int, count: int) -> list[Segment]:
        """Those of the tile that begins at a pixel."""
        groups = itertools.groupby(range(count), lambda pixel: self.columns(start + pixel))
        parts = [(columns, list(pixels)) for columns, pixels in groups]
        return [Segment(pixels[0], len(pixels), columns) for columns, pixels in parts]

    def is_whole(self, start: int, count: int) -> bool:
        """Whether no window of a tile hangs over an edge."""
        return all(len(self.columns(pixel)) == self.taps for pixel in range(start, start + count))


def pads_in_place(kernel: KernelView) -> bool:
    """Whether a convolution is one for this generator: it has padding, which nothing has made before, or an atom."""
    root, schedule, attrs = kernel.root, kernel.schedule, attributes_of(kernel.root)
    channels, depth, _, _ = shape_of(root.operands[1])
    is_depthwise = depth == 1 and attrs.groups == channels > 1
    is_made = "input" in schedule.staged or "input" in schedule.packed
    wants_it = any(attrs.padding) or schedule.atom is not None
    is_known = schedule.atom is None or shape_of(root.operands[0])[2] != DYNAMIC
    return is_depthwise and wants_it and not is_made and is_known


class Depthwise:
    """One kernel's loops. `weights` is how the weights are laid out."""

    def __init__(self, b: LoopBuilder, kernel: KernelView, weights: Packing) -> None:
        self.b, self.kernel, self.weight_packing = b, kernel, weights
        root = kernel.root
        self.attrs = attributes_of(root)
        self.input, self.weight = (kernel.memory_of(operand) for operand in root.operands)
        self.groups, _, self.kh, kw = shape_of(root.operands[1])
        width = shape_of(self.input)[2]
        self.windows = Windows(width, kw, self.attrs.strides[1], self.attrs.dilations[1], self.attrs.padding[2])
        kernel.check_schedule(("ow", "g", "kw"), blocked=("n", "g", "oh"), packed=("weight",), atoms=True)
        order = [d for d in kernel.schedule.cut("register").sizes if d in ("oh", "g", "oc", "ow")]
        if order[-1:] != ["ow"] or kernel.schedule.tile("kw") != kw:
            raise kernel.refuse(f"padding in place needs 'ow' innermost, and a tile size {kw} of 'kw'")

    def emit(self) -> None:
        b, result = self.b, self.kernel.results_memory[0]
        sizes = {"n": b.size(result, 0), "g": self.groups, "oh": b.size(result, 1)}
        nest(b, self.kernel, sizes, lambda start: lambda spans: self._row(start["n"], spans), first=("n",))

    def _row(self, image: Index, spans: dict[str, Span]) -> None:
        """Tiles along a row of output pixels: whole ones between the edges in a loop, the others one by one."""
        b, tile, total = self.b, self.kernel.schedule.tile("ow"), shape_of(self.kernel.results_memory[0])[2]
        if self.windows.size == DYNAMIC:
            self._row_of_any_width(image, spans)
            return
        starts = range(0, total - total % tile, tile)
        whole = [start for start in starts if self.windows.is_whole(start, tile)]
        for start in (start for start in starts if not whole or start < whole[0]):
            self._tile(image, spans, start, self.windows.segments(start, tile))
        if whole:
            with b.for_each(whole[0], whole[-1] + tile, tile) as offset:
                self._tile(image, spans, offset, [Segment(0, tile, range(self.windows.taps))])
            for start in (start for start in starts if start > whole[-1]):
                self._tile(image, spans, start, self.windows.segments(start, tile))
        if total % tile:
            self._tile(image, spans, starts.stop, self.windows.segments(starts.stop, total % tile))

    def _row_of_any_width(self, image: Index, spans: dict[str, Span]) -> None:
        """Pixels at the edges one by one, and tiles between them, or pixels where these are too few for a tile."""
        b, windows, tile = self.b, self.windows, self.kernel.schedule.tile("ow")
        total, width = (b.size(memory, 2) for memory in (self.kernel.results_memory[0], self.input))
        reach = (windows.taps - 1) * windows.dilation + 1
        first = b.min(b.ceildiv(windows.low, windows.stride), total)
        room = b.max(b.sub(b.add(width, windows.low + windows.stride), reach), 0)
        last = b.max(b.min(b.floordiv(room, windows.stride), total), first)
        whole = range(windows.taps)
        for begin, end in ((0, first), (last, total)):
            with b.for_each(begin, end) as pixel:
                self._edge(image, spans, pixel)
        branch = b.if_else(b.less(b.sub(last, first), tile))
        with ir.InsertionPoint(branch.then_block):
            with b.for_each(first, last) as pixel:
                self._tile(image, spans, pixel, [Segment(0, 1, whole)])
            b.end_branch()
        with ir.InsertionPoint(branch.else_block):
            with b.for_each(first, last, tile) as start:
                self._tile(image, spans, b.min(start, b.sub(last, tile)), [Segment(0, tile, whole)])
            b.end_branch()

    def _inside(self, axis: int, position: Index) -> tuple[Index, Index]:
        """The part of a window that is in the image, along rows (0) or columns (1), at a row or column of output."""
        b, (low, dilation) = self.b, (self.attrs.padding[2 * axis], self.attrs.dilations[axis])
        base = b.mul(position, self.attrs.strides[axis])
        before = b.ceildiv(b.max(b.sub(low, base), 0), dilation)
        end = b.ceildiv(b.max(b.sub(b.add(b.size(self.input, 1 + axis), low), base), 0), dilation)
        return before, b.min(end, (self.kh, self.windows.taps)[axis])

    def _edge(self, image: Index, spans: dict[str, Span], pixel: Index) -> None:
        """One pixel, whose window may hang over an edge of a row."""
        b, kernel, (g, channels, g_valid), oh = self.b, self.kernel, spans["g"], spans["oh"][0]
        shape, valid = (1, 1, channels), (None, None, g_valid)
        (top, _, left, _), dilations = self.attrs.padding, self.attrs.dilations
        base = [b.mul(at, stride) for at, stride in zip((oh, pixel), self.attrs.strides, strict=True)]
        columns = self._inside(1, pixel)

        def add(row: Index, column: Index, total: ir.Value) -> ir.Value:
            y, x = (b.add(at, b.mul(tap, by)) for at, tap, by in zip(base, (row, column), dilations, strict=True))
            at = [image, b.sub(y, top), b.sub(x, left), g]
            weights = self.weight_packing.load(b, self.weight, [g, 0, row, column], shape, [-1, -1, 0])
            return b.multiply_add(b.load(self.input, at, shape, [1, 2, 3], valid=valid), weights, total)

        def add_row(row: Index, total: ir.Value) -> ir.Value:
            return b.reduce(*columns, 1, total, functools.partial(add, row))

        zeros = b.splat(shape, kernel.accumulator, 0.0)
        total = b.reduce(*self._inside(0, oh), 1, zeros, add_row)
        place = TilePlace((image, oh, pixel, g), (1, 2, 3), shape, valid)
        store_results(b, kernel, {kernel.root.results[0]: total}, place)

    def _tile(self, image: Index, spans: dict[str, Span], start: Index, segments: Sequence[Segment]) -> None:
        b, kernel, (g, channels, g_valid), oh = self.b, self.kernel, spans["g"], spans["oh"][0]
        top, dilation = self.attrs.padding[0], self.attrs.dilations[0]
        base = b.mul(oh, self.attrs.strides[0])

        def add_row(tap: Index, tiles: list[ir.Value]) -> list[ir.Value]:
            at = [image, b.sub(b.add(base, b.mul(tap, dilation)), top)]
            for column in range(self.windows.taps):
                tiles = self._add(at, tap, column, (g, channels, g_valid), start, segments, tiles)
            return tiles

        zeros = [b.splat([1, part.count, channels], kernel.accumulator, 0.0) for part in segments]
        for part, sums in zip(segments, b.reduce_all(*self._inside(0, oh), 1, zeros, add_row), strict=True):
            offsets = (image, oh, b.add(start, part.first), g)
            place = TilePlace(offsets, (1, 2, 3), (1, part.count, channels), (None, None, g_valid))
            store_results(b, kernel, {kernel.root.results[0]: sums}, place)

    def _add(
        self,
        row: Sequence[Index],
        tap: Index,
        column: int,
        channels: Span,
        start: Index,
        segments: Sequence[Segment],
        tiles: Sequence[ir.Value],
    ) -> list[ir.Value]:
        """The tiles plus the products of one element of the window, where it is in the image."""
        b, windows, (g, size, valid) = self.b, self.windows, channels
        result = list(tiles)
        for number, part in enumerate(segments):
            if column not in part.columns:
                continue
            pixel = b.mul(b.add(start, part.first), windows.stride)
            x = b.sub(b.add(pixel, column * windows.dilation), windows.low)
            shape = [1, part.count, size]
            strides = [1, windows.stride, 1]
            pixels = b.load(self.input, [*row, x, g], shape, [1, 2, 3], strides, [None, None, valid])
            weights = self.weight_packing.load(b, self.weight, [g, 0, tap, column], shape, [-1, -1, 0])
            result[number] = b.multiply_add(pixels, weights, tiles[number])
        return result
