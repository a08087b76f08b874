"""The generator of `graph.conv2d` (NHWC; grouped and depthwise too) with its epilogue.

A workgroup takes a block of output rows and of output channels of one image. With `staged` input it first copies the
input rows that it needs, with their zero padding, into local memory; `depthwise` needs no copy. Then, for each tile
of pixels and channels, it keeps the tile in registers while it runs over the kernel window and the input channels.
Weights are read in blocks of output channels, [out/w][kh][kw][in][w], when their layout says so, else in place; for
an atom that takes q channels together they are [out/w][kh][kw][in/q][w][q]. An atom that reads the input as unsigned,
128 more than it is, finds 128 where the padding is, too: what the packing took away from each sum counts all taps of
the window.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.graph.payload_types import compute_type, constant
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.conv2d.depthwise import Depthwise, pads_in_place
from terrace.lowering.kernels.conv2d.depthwise_dots import DepthwiseDots
from terrace.lowering.kernels.nest import TileBody, nest
from terrace.lowering.kernels.packing import PLAIN, Pack, Packing, PackWithSums, Pad
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.lowering.kernels.weights_ahead import WeightsAhead
from terrace.mlir import arith, ir

WEIGHT_ORDER = (0, 2, 3, 1)
"""The outer permutation of packed weights: blocks of output channels, then kernel rows, columns, input channels."""


@dataclasses.dataclass(frozen=True)
class Image:
    """Where input pixels are read: the memref, its leading indices, and the row and column of its first element.

    A group of the convolution has `depth` channels there. They are `shifted` where they are unsigned already.
    """

    memory: ir.Value
    lead: tuple[Index, ...]
    first_row: Index
    first_column: int
    depth: int
    shifted: bool = False


class _Conv2d:
    """One kernel's loops."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel, self.schedule = b, kernel, kernel.schedule
        root = kernel.root
        self.attrs = attributes_of(root)
        if self.attrs.layout != "NHWC":
            raise kernel.refuse("conv2d must be in layout NHWC; run choose-layout first")
        self.input, self.weight = kernel.memory_of(root.operands[0]), kernel.memory_of(root.operands[1])
        out_channels, self.depth, self.kh, self.kw = shape_of(root.operands[1])
        self.groups = self.attrs.groups
        self.width = out_channels // self.groups
        self.depthwise = self.depth == 1 and self.width == 1 and self.groups > 1
        self.atom, stored = self.schedule.atom, element_type_of(root.operands[0])
        self.element_type, self.sum_type = stored if self.atom else compute_type(stored), kernel.accumulator
        result = kernel.results_memory[0]
        self.sizes = {"n": b.size(result, 0), "oh": b.size(result, 1), "ow": b.size(result, 2)}
        self.sizes |= {"g": self.groups, "oc": self.width}
        self.weight_packing = layout = self._weight_packing()
        takes_channels = self.atom is not None and not self.depthwise
        self.together = layout.inner_tiles[1] if isinstance(layout, Pack) and takes_channels else 1
        self.unsigned = isinstance(self.weight_packing, PackWithSums)
        if self.schedule.tile("ic") % self.together:
            raise kernel.refuse(f"tile size of 'ic' must be a multiple of the {self.together} channels packed together")
        self.ahead = self._weights_ahead()

    def _weight_packing(self) -> Packing:
        layout = self.kernel.packing_of(self.kernel.root.operands[1])
        if layout is None and not self.atom:
            return PLAIN
        inner, wanted = ((0, 1), "[in/q][w][q] for an atom") if self.atom else ((0,), "[in][w]")
        if self.atom and self.depthwise:
            inner, wanted = (0, 2), "[in][w][q], q rows together, for an atom"
        if not isinstance(layout, Pack) or layout.inner_dims != inner or layout.outer_permutation != WEIGHT_ORDER:
            raise self.kernel.refuse(f"the layout of the weights must be [out/w][kh][kw]{wanted}")
        if isinstance(layout, PackWithSums) and not self.atom:
            raise self.kernel.refuse("the weights have sums beside them, which only an atom needs")
        block, channel = layout.inner_tiles[0], "g" if self.depthwise else "oc"
        tile, channels = self.schedule.tile(channel), self.groups if self.depthwise else self.width
        fits = self.depthwise or self.groups == 1 or self.width % block == 0
        if not fits or (block % tile and block < channels):
            raise self.kernel.refuse(
                f"the layout's block of {block} channels must be a multiple of the tile size {tile} of '{channel}'"
                " and must not span groups"
            )
        return layout

    def _weights_ahead(self) -> WeightsAhead | None:
        """What to ask for while tiles of pixels go over a panel of the weights."""
        rows, columns = (self.schedule.block(dim) or self.sizes[dim] for dim in ("oh", "ow"))
        if self.depthwise or not (isinstance(rows, int) and isinstance(columns, int)):
            return None
        tall, wide = self.schedule.tile("oh"), self.schedule.tile("ow")
        tile = (tall * wide, self.schedule.tile("oc"))
        return WeightsAhead.of(self.weight, self.weight_packing, tile, -(-rows // tall) * -(-columns // wide))

    # -- blocks ---------------------------------------------------------------------------------------------------

    def emit(self) -> None:
        if pads_in_place(self.kernel):
            kind = DepthwiseDots if self.atom else Depthwise
            kind(self.b, self.kernel, self.weight_packing).emit()
            return
        tiled = ("oh", "ow", "g", "kw") if self.depthwise else ("oh", "ow", "oc", "kw", "ic")
        blocked = ("n", "g", "oh", "ow", "oc")
        packed = ("input", "weight")
        self.kernel.check_schedule(tiled, blocked, staged=("input",), packed=packed, atoms=not self.depthwise)
        staged = "input" in self.schedule.staged
        self._check_padding(staged)

        def enter(start: Mapping[str, Index]) -> TileBody:
            image = start["n"]
            source = self._stage(image, start) if staged else Image(self.input, (image,), 0, 0, self.depth)
            return functools.partial(self._tile, image, source)

        sizes = {dim: self.sizes[dim] for dim in ("n", "g", "oc", "oh", "ow")}
        nest(self.b, self.kernel, sizes, enter, first=("n",))

    def _check_padding(self, staged: bool) -> None:
        """Padding is made on the way into local memory, or by the layout of the input."""
        (top, bottom, left, right), layout = self.attrs.padding, self.kernel.packing_of(self.kernel.root.operands[0])
        wanted = Pad((0, top, left, 0), (0, bottom, right, 0))
        if layout is None and (staged or not any(self.attrs.padding)):
            return
        if layout != wanted or staged:
            raise self.kernel.refuse(
                "padding needs the input staged in local memory, or else entering 'device' by pad with"
                f" {wanted.attributes}"
            )

    # -- staging --------------------------------------------------------------------------------------------------

    def _stage(self, image: Index, start: Mapping[str, Index]) -> Image:
        """Copy the rows that the block reads, padded, into local memory [rows, columns, channels]."""
        b, attrs = self.b, self.attrs
        block, columns = self.schedule.block("oh") or self.sizes["oh"], self.sizes["ow"]
        height, width, channels = (b.size(self.input, axis) for axis in (1, 2, 3))
        if not all(isinstance(size, int) for size in (block, columns, width, channels)):
            raise self.kernel.refuse("can stage the input only when its sizes and the block of 'oh' are static")
        assert isinstance(block, int) and isinstance(columns, int) and isinstance(width, int)
        assert isinstance(channels, int)
        reached = {**self.kernel.space.known(), "oh": block}
        rows, wide = (axis.span(reached) for axis in self.kernel.space.accesses[0][1:3])
        depth = -(-self.depth // self.together) * self.together if self.groups == 1 else self.depth
        local = b.alloc([rows, wide, max(channels, depth)], self.element_type)
        top, left = attrs.padding[0], attrs.padding[2]
        first = b.mul(start.get("oh", 0), attrs.strides[0])
        inside = min(width, wide - left)

        def copy(row: Index, source: Index) -> None:
            self._fill(local, row, 0, left)
            self._copy_row(image, source, local, row, left, inside, channels)
            self._fill(local, row, left + inside, wide)

        # Without padding above, and without blocks, no row is outside.
        all_inside = top == 0 and isinstance(first, int) and isinstance(height, int) and first + rows <= height
        with b.for_each(0, rows) as row:
            # In padded coordinates the image's rows are [top, top + height).
            padded = b.add(first, row)
            if all_inside:
                copy(row, padded)
            else:
                branch = b.if_else(b.inside(padded, top, b.add(height, top)))
                with ir.InsertionPoint(branch.then_block):
                    copy(row, b.sub(padded, top))
                    b.end_branch()
                with ir.InsertionPoint(branch.else_block):
                    self._fill(local, row, 0, wide)
                    b.end_branch()
        return Image(local, (), first, 0, depth, self.unsigned)

    def _copy_row(
        self, image: Index, source: Index, local: ir.Value, row: Index, left: int, inside: int, channels: int
    ) -> None:
        b = self.b
        with b.for_each(0, inside) as column:

            def copy(at: Index, size: int, valid: Index | None) -> None:
                tile = b.load(self.input, [image, source, column, at], [size], [3], as_stored=self.atom is not None)
                b.store(self._shifted(tile) if self.unsigned else tile, local, [row, b.add(column, left), at], [2])

            b.tiles(0, 0, channels, min(channels, 64), copy)
            beyond = shape_of(local)[2] - channels
            if beyond:  # their weights are zero, but not what zero times NaN is
                zeros = b.splat([beyond], self.element_type, 0.0)
                b.store(zeros, local, [row, b.add(column, left), channels], [2])

    def _shifted(self, tile: ir.Value) -> ir.Value:
        """128 more, as unsigned."""
        return arith.xori(tile, constant(tile.type, -128))

    def _fill(self, local: ir.Value, row: Index, first: int, last: int) -> None:
        """Padding in these columns."""
        b, channels, nothing = self.b, shape_of(local)[2], -128 if self.unsigned else 0
        if first >= last:
            return
        with b.for_each(first, last) as column:

            def fill(at: Index, size: int, valid: Index | None) -> None:
                b.store(b.splat([size], self.element_type, nothing), local, [row, column, at], [2])

            b.tiles(0, 0, channels, min(channels, 64), fill)

    # -- one tile -------------------------------------------------------------------------------------------------

    def _tile(self, image: Index, source: Image, spans: dict[str, Span]) -> None:
        channel = "g" if self.depthwise else "oc"
        dims = ("oh", "ow", channel)
        shape, valid = tuple(spans[d][1] for d in dims), tuple(spans[d][2] for d in dims)
        inner = self._depthwise_step if self.depthwise else self._contract_step
        first = self.b.add(self.b.mul(spans["g"][0], self.width), spans["oc"][0])
        if self.unsigned:
            nothing = self.b.load(self.kernel.beside["weight"][0], [first], shape, [-1, -1, 0], valid=valid)
        else:
            nothing = self.b.splat(shape, self.sum_type, 0.0)
        tile = self._window(functools.partial(inner, source, spans), nothing)
        place = TilePlace((image, spans["oh"][0], spans["ow"][0], first), (1, 2, 3), shape, valid)
        store_results(self.b, self.kernel, {self.kernel.root.results[0]: tile}, place)

    def _window(self, step: Callable[..., ir.Value], tile: ir.Value) -> ir.Value:
        """Run `step(kernel row, kernel column, tile)` over the kernel window."""
        b, unroll = self.b, self.schedule.tile("kw")

        def columns(row: Index, tile: ir.Value) -> ir.Value:
            main = self.kw - self.kw % unroll

            def several(column: Index, tile: ir.Value) -> ir.Value:
                for i in range(unroll):
                    tile = step(row, b.add(column, i), tile)
                return tile

            tile = b.reduce(0, main, unroll, tile, several)
            for column in range(main, self.kw):
                tile = step(row, column, tile)
            return tile

        return b.reduce(0, self.kh, 1, tile, columns)

    def _pixel(self, source: Image, spans: dict[str, Span], row: Index, column: Index) -> list[Index]:
        """The indices of the first pixel of the tile under window element (row, column)."""
        b, attrs = self.b, self.attrs
        y = b.add(b.sub(b.mul(spans["oh"][0], attrs.strides[0]), source.first_row), b.mul(row, attrs.dilations[0]))
        x = b.add(b.mul(spans["ow"][0], attrs.strides[1]), b.mul(column, attrs.dilations[1]))
        return [*source.lead, y, x]

    def _contract_step(
        self, source: Image, spans: dict[str, Span], row: Index, column: Index, tile: ir.Value
    ) -> ir.Value:
        b, total = self.b, source.depth
        depth = min(self.schedule.tile("ic"), total)
        pixel, rank = self._pixel(source, spans, row, column), len(source.lead)
        base = b.mul(spans["g"][0], self.depth)
        (_, th, th_valid), (_, tw, tw_valid) = spans["oh"], spans["ow"]

        def step(size: int) -> Callable[[Index, ir.Value], ir.Value]:
            def body(at: Index, tile: ir.Value) -> ir.Value:
                lhs = b.load(
                    source.memory,
                    [*pixel, b.add(base, at)],
                    [th, tw, size],
                    [rank, rank + 1, rank + 2],
                    [*self.attrs.strides, 1],
                    [th_valid, tw_valid, None],
                    as_stored=self.atom is not None,
                )
                lhs = self._shifted(lhs) if self.unsigned and not source.shifted else lhs
                return b.contract(lhs, self._weights(spans, row, column, at, size), tile, self.atom, self.unsigned)

            return body

        main, rest = total - total % depth, total % depth
        tile = b.reduce(0, main, depth, tile, step(depth))
        if rest and self.atom:
            return step(rest)(main, tile)
        return tile if not rest else b.reduce(main, total, 1, tile, step(1))

    def _weights(self, spans: dict[str, Span], row: Index, column: Index, at: Index, size: int) -> ir.Value:
        """The tile [size, channels] of weights at input channel `at`."""
        b = self.b
        offset, channels, _ = spans["oc"]
        first = b.add(b.mul(spans["g"][0], self.width), offset)
        if self.ahead is not None:
            depth = -(-self.depth // self.together) * self.together
            k = b.add(b.mul(b.add(b.mul(row, self.kw), column), depth), at)
            self.ahead.ask(b, b.floordiv(first, self.schedule.tile("oc")), self._tile_of_pixels(spans), k, size)
        return self.weight_packing.load(b, self.weight, [first, at, row, column], [size, channels], [1, 0])

    def _tile_of_pixels(self, spans: dict[str, Span]) -> Index:
        """Which of the tiles of pixels of an image this is."""
        b, columns = self.b, self.schedule.block("ow") or self.sizes["ow"]
        row, column = (b.floordiv(spans[dim][0], self.schedule.tile(dim)) for dim in ("oh", "ow"))
        return b.add(b.mul(row, b.ceildiv(columns, self.schedule.tile("ow"))), column)

    def _depthwise_step(
        self, source: Image, spans: dict[str, Span], row: Index, column: Index, tile: ir.Value
    ) -> ir.Value:
        b = self.b
        pixel, rank = self._pixel(source, spans, row, column), len(source.lead)
        (_, th, th_valid), (_, tw, tw_valid), (g, channels, g_valid) = (spans[d] for d in ("oh", "ow", "g"))
        shape, valid = [th, tw, channels], [th_valid, tw_valid, g_valid]
        dims = [rank, rank + 1, rank + 2]
        pixels = b.load(source.memory, [*pixel, g], shape, dims, [*self.attrs.strides, 1], valid)
        weights = self.weight_packing.load(b, self.weight, [g, 0, row, column], shape, [-1, -1, 0])
        return b.multiply_add(pixels, weights, tile)


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a conv2d kernel."""
    _Conv2d(b, kernel).emit()
