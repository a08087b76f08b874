"""The generator of `graph.conv2d` as products of blocks ("implicit GEMM"), with its epilogue.

An atom that multiplies blocks takes 16 rows of lhs at a fixed distance. A workgroup copies the rows of the image that
its results read, padded, into local memory, where pixels stand behind each other row by row. There the inputs of one
result and of the next are as far apart as neighbours, so for an element of the window those of any run of results are
a run, too. It goes on beyond the end of a row: of a row of `wide` pixels the last ones are computed for nothing. The
channels of a step stand together, so that a block's rows are neighbours and fill few sets of the nearest cache.
With strides, pixels are dealt out to planes, [row % stride][column % stride], in which neighbours are neighbours again.

For each panel of output channels, and for `oh` rows of results at a time, products of `ow` pixels by the panel are
added up in registers over the window and all input channels. Their sums are kept in local memory until all are there,
and go through the epilogue row by row.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.graph.payload_types import compute_type
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.conv2d.implicit_gemm_shape import GemmShape, Tap
from terrace.lowering.kernels.conv2d.schedule import WEIGHT_PERMUTATION
from terrace.lowering.kernels.nest import workgroups
from terrace.lowering.kernels.packing import Pack, PackRows, PackWithSums
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import ir

PIXELS = 8
"""Results beside each other that go through the epilogue together."""


class _ImplicitGemm:
    """One kernel's loops."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel, self.schedule = b, kernel, kernel.schedule
        kernel.check_schedule(
            ("oh", "ow", "oc", "kw", "ic"), ("n", "oh", "oc"), ("input",), packed=("weight",), atoms=True
        )
        root = kernel.root
        self.attrs = attributes_of(root)
        self.shape = GemmShape.of(kernel)
        self.input, self.weight = kernel.memory_of(root.operands[0]), kernel.memory_of(root.operands[1])
        self.packing = self._packing()
        stored = element_type_of(root.operands[0])
        self.element_type = stored if self.schedule.atom else compute_type(stored)

    def _packing(self) -> Pack | PackRows:
        layout, shape = self.kernel.packing_of(self.kernel.root.operands[1]), self.shape
        fits = isinstance(layout, PackRows)
        if isinstance(layout, Pack) and not isinstance(layout, PackWithSums):
            fits = (layout.outer_permutation, layout.inner_dims) == (WEIGHT_PERMUTATION, (0, 1))
        if not fits:
            raise self.kernel.refuse("the layout of the weights must be [out/w][kh][kw][in/q][w][q], or pack_rows")
        assert isinstance(layout, Pack | PackRows)
        block, together = layout.inner_tiles
        if block % shape.panel or shape.step % together:
            raise self.kernel.refuse(
                f"the layout's block of channels must be a multiple of the tile size {shape.panel} of 'oc', and the"
                f" tile size {shape.step} of 'ic' one of the {together} channels packed together"
            )
        if "input" not in self.schedule.staged:
            raise self.kernel.refuse(f"{self.schedule.variant} needs 'input' staged in local memory")
        return layout

    def emit(self) -> None:
        b, shape, memory = self.b, self.shape, self.kernel.results_memory[0]
        sizes: dict[str, Index] = {"n": b.size(memory, 0), "oh": shape.height, "oc": shape.channels}
        with workgroups(b, self.kernel, sizes) as start, contextlib.ExitStack() as stack:
            images = b.for_block(start.get("n", 0), self.schedule.block("n"), sizes["n"])
            image = stack.enter_context(images)
            first = start.get("oh", 0)
            steps = shape.depth // shape.step
            self.pixels = b.alloc([len(shape.planes), steps, shape.positions, shape.step], self.element_type)
            self.sums = b.alloc([shape.run, shape.panel], self.kernel.accumulator)
            self._stage(image, first)
            end = b.min(b.add(first, shape.block), shape.height)

            def panel(channel: Index, size: int, valid: Index | None) -> None:
                with b.for_each(first, end, shape.rows) as row:
                    self._multiply(b.mul(b.sub(row, first), shape.wide), channel)
                    self._results(image, (row, b.min(b.add(row, shape.rows), end)), channel, size)

            b.tiles(start.get("oc", 0), self.schedule.block("oc"), shape.channels, shape.panel, panel)

    # -- the image ------------------------------------------------------------------------------------------------

    def _stage(self, image: Index, first: Index) -> None:
        """Copy what the block that begins at the result row `first` reads, plane by plane, with zeros around it."""
        b, shape = self.b, self.shape
        top = self.attrs.padding[0]
        for number, (down, right) in enumerate(shape.planes):
            with b.for_each(0, shape.staged_rows) as row:
                # In padded coordinates the image's rows are [top, top + height).
                padded = b.add(b.mul(b.add(first, row), self.attrs.strides[0]), down)
                place, inside = b.mul(row, shape.wide), b.inside(padded, top, top + shape.image[0])
                branch = b.if_else(inside)
                with ir.InsertionPoint(branch.then_block):
                    self._copy_row((image, b.sub(padded, top)), number, place, right)
                    b.end_branch()
                with ir.InsertionPoint(branch.else_block):
                    self._zero(number, place, 0, shape.wide)
                    b.end_branch()

    def _copy_row(self, source: tuple[Index, Index], plane: int, place: Index, right: int) -> None:
        """The pixels of an image's row that belong in a plane."""
        b, shape, (left, stride) = self.b, self.shape, (self.attrs.padding[2], self.attrs.strides[1])
        if isinstance(self.packing, PackRows):
            self._copy_windows(source, plane, place)
            return
        begin, end = (min(max(-(-(edge - right) // stride), 0), shape.wide) for edge in (left, left + shape.image[1]))
        self._zero(plane, place, 0, begin)
        with b.for_each(begin, end) as column:
            pixel = b.sub(b.add(b.mul(column, stride), right), left)

            def copy(at: Index, size: int, valid: Index | None) -> None:
                tile = b.load(self.input, [*source, pixel, at], [size], [3], as_stored=True)
                b.store(tile, self.pixels, [plane, b.floordiv(at, size), b.add(place, column), 0], [3])

            b.tiles(0, 0, shape.depth, shape.step, copy)
        self._zero(plane, place, end, shape.wide)

    def _copy_windows(self, source: tuple[Index, Index], plane: int, place: Index) -> None:
        """For each result of a row what the window has of an image's row, column by column, and zeros behind it."""
        b, shape, (left, stride) = self.b, self.shape, (self.attrs.padding[2], self.attrs.strides[1])
        channels, columns = shape_of(self.input)[3], shape_of(self.kernel.root.operands[1])[3]
        image = b.rows_as_one(self.input)

        def copy(column: Index, first: int, end: int, pixel: Index) -> None:
            """From one element of the window's row to another, whose first pixel this is; cut where a step ends."""
            begin, total = first * channels, end * channels
            cuts = sorted({begin, total, *range(-(-begin // shape.step) * shape.step, total, shape.step)})
            for low, high in itertools.pairwise(cuts):
                at = [*source, b.add(b.mul(pixel, channels), low - begin)]
                to = [plane, low // shape.step, b.add(place, column), low % shape.step]
                b.store(b.load(image, at, [high - low], [2], as_stored=True), self.pixels, to, [3])

        # Where the window is inside of the row as a whole, and the few results beside.
        begin = min(-(-left // stride), shape.width)
        end = max(min((shape.image[1] + left - columns) // stride + 1, shape.width), begin)
        if begin < end:
            with b.for_each(begin, end) as column:
                self._clear(plane, b.add(place, column))
                copy(column, 0, columns, b.sub(b.mul(column, stride), left))
        for column in (*range(begin), *range(end, shape.width)):
            at = column * stride - left
            self._clear(plane, b.add(place, column))
            first, last = max(-at, 0), min(columns, shape.image[1] - at)
            if first < last:
                copy(column, first, last, at + first)

    def _zero(self, plane: int, place: Index, begin: int, end: int) -> None:
        """Clear the pixels of a row from one column to another."""
        b = self.b
        if begin < end:
            with b.for_each(begin, end) as column:
                self._clear(plane, b.add(place, column))

    def _clear(self, plane: int, position: Index) -> None:
        b, shape = self.b, self.shape

        def clear(at: Index, size: int, valid: Index | None) -> None:
            zeros = b.splat([size], self.element_type, 0)
            b.store(zeros, self.pixels, [plane, b.floordiv(at, size), position, 0], [3])

        b.tiles(0, 0, shape.depth, shape.step, clear)

    # -- products and results -------------------------------------------------------------------------------------

    def _multiply(self, place: Index, channel: Index) -> None:
        """The sums of a panel for the run of results whose first inputs are at `place`."""
        b, shape = self.b, self.shape

        def tile(at: Index, height: int, _: Index | None) -> None:
            b.store(self._window(b.add(place, at), height, channel), self.sums, [at, 0], [0, 1])

        b.tiles(0, 0, shape.run, shape.tile, tile)

    def _window(self, place: Index, height: int, channel: Index) -> ir.Value:
        """The sum of all products of so many results by a panel."""
        b, shape = self.b, self.shape

        def step(tap: Tap) -> Callable[[Index, ir.Value], ir.Value]:
            def body(at: Index, total: ir.Value) -> ir.Value:
                pixels = [tap.plane, b.floordiv(at, shape.step), b.add(place, tap.offset), 0]
                lhs = b.load(self.pixels, pixels, [height, shape.step], [2, 3], as_stored=True)
                weights, size = [channel, at, tap.row, tap.column], [shape.step, shape.panel]
                rhs = self.packing.load(b, self.weight, weights, size, [1, 0])
                return b.contract(lhs, rhs, total, self.schedule.atom)

            return body

        total = b.splat([height, shape.panel], self.kernel.accumulator, 0)
        for tap in shape.taps:
            total = b.reduce(0, shape.depth, shape.step, total, step(tap))
        return total

    def _results(self, image: Index, rows: tuple[Index, Index], channel: Index, channels: int) -> None:
        """The results from one row to another of so many channels, whose sums are there, through the epilogue."""
        b, shape, (first, end) = self.b, self.shape, rows
        with b.for_each(first, end) as row:
            place = b.mul(b.sub(row, first), shape.wide)

            def pixels(column: Index, size: int, _: Index | None) -> None:
                tile = b.load(self.sums, [b.add(place, column), 0], [1, size, channels], [-1, 0, 1])
                where = TilePlace((image, row, column, channel), (1, 2, 3), (1, size, channels), (None,) * 3)
                store_results(b, self.kernel, {self.kernel.root.results[0]: tile}, where)

            b.tiles(0, 0, shape.width, min(shape.width, PIXELS), pixels)


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a conv2d kernel whose schedule says implicit GEMM."""
    _ImplicitGemm(b, kernel).emit()
