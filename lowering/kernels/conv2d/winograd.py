"""The generator of `graph.conv2d` by Winograd's minimal filtering (Lavin and Gray, 2016), with its epilogue.

The results are cut into tiles of 4x4 (or 2x2) pixels, numbered row by row. A workgroup takes a run of them and
transforms what they read, all input channels, into local memory: one row for each tile in each of 36 (16) planes. Then,
for each panel of output channels, every plane is multiplied by its own weights, [channels / w][plane][in][w], and the
sums of a tile in all planes are transformed into its pixels, which go through the epilogue and are stored. In the
schedule, `ow` counts pixels along the rows of tiles laid end to end: a block of 4 * 42 is a run of 42 tiles. A register
tile of oh x ow pixels by oc channels stands for a product of so many tiles, in any arrangement, by oc columns.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence

from terrace.dialects.base import element_type_of
from terrace.lowering.graph.payload_types import compute_type
from terrace.lowering.kernels.builder import Index, LoopBuilder, TileBody
from terrace.lowering.kernels.conv2d.winograd_input import Block, InputTransform
from terrace.lowering.kernels.conv2d.winograd_shape import SPARE, WinogradShape
from terrace.lowering.kernels.conv2d.winograd_tiles import RESULT_FACTORS, RESULTS
from terrace.lowering.kernels.nest import workgroups
from terrace.lowering.kernels.packing import Transform
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.lowering.kernels.weights_ahead import WeightsAhead
from terrace.mlir import arith, ir

Step = Callable[[int], Callable[[Index, ir.Value], ir.Value]]
"""For so many input channels at once: adds the products of those at an index to a sum."""

Ask = Callable[[Index, int], None]
"""For products of so many input channels from an index on: asks for weights that are read later."""

SHARES = (4, 6, 8, 11, 14)
"""Heights of register tiles, in parts of the last, that are made where only a call knows how many tiles a block has."""

CHUNK = 256
"""Input channels whose products are added up before their sum joins the others: rounding errors grow with it."""


class _Winograd:
    """One kernel's loops."""

    def __init__(self, b: LoopBuilder, kernel: KernelView, shape: WinogradShape) -> None:
        self.b, self.kernel, self.schedule, self.shape = b, kernel, kernel.schedule, shape
        self.weight = kernel.memory_of(kernel.root.operands[1])
        self.type_ = compute_type(element_type_of(kernel.root.operands[0]))
        kernel.check_schedule(("oh", "ow", "oc", "ic"), ("n", "ow", "oc", "ic"), ("input",), ("weight",))
        if "input" not in self.schedule.staged:
            raise kernel.refuse(f"{shape.variant} needs 'input' staged in local memory")
        layout = kernel.packing_of(kernel.root.operands[1])
        if not isinstance(layout, Transform) or layout.outputs != (shape.outputs,) * 2:
            raise kernel.refuse(f"{shape.variant} needs 'weight' by transform with outputs of {shape.outputs}")
        if layout.inner_tiles[0] % self.schedule.tile("oc"):
            raise kernel.refuse("the weights' block of channels must be a multiple of the tile size of 'oc'")
        self.weight_block = layout.inner_tiles[0]
        self.panel = self.schedule.tile("oc")

    def emit(self) -> None:
        b, shape = self.b, self.shape
        memory = self.kernel.results_memory[0]
        rows, columns = (b.ceildiv(b.size(memory, axis), shape.outputs) for axis in (1, 2))
        total = b.mul(rows, columns)
        sizes: dict[str, Index] = {"n": b.size(memory, 0), "oc": shape.out_channels, "ow": b.mul(total, shape.outputs)}
        with workgroups(b, self.kernel, sizes) as start, contextlib.ExitStack() as stack:
            images = b.for_block(start.get("n", 0), self.schedule.block("n"), sizes["n"])
            image = stack.enter_context(images)
            first = b.floordiv(start.get("ow", 0), shape.outputs)
            block = Block(image, first, _count(b, first, shape.block, total), columns)
            # One row more than tiles, and rows that are longer than the channels: rows and planes that are a power of
            # two apart would share the sets of L1.
            tiles = shape.block + (1 if shape.counts else shape.product_rows)
            self.inputs = b.alloc([shape.planes, tiles, shape.depth + SPARE], self.type_)
            self.products = b.alloc([shape.planes, tiles, self.panel], self.type_)
            self.half = b.alloc([shape.outputs, shape.points, shape.lanes], self.type_)
            self.factors = self._store_factors()
            InputTransform(b, self.kernel, shape, block, self.inputs).emit()

            def panel(channel: Index, size: int, valid: Index | None) -> None:
                self._multiply(block, channel, size)
                self._results(block, channel, size)

            b.tiles(start.get("oc", 0), self.schedule.block("oc"), shape.out_channels, self.panel, panel)

    def _store_factors(self) -> ir.Value:
        b, factors = self.b, RESULT_FACTORS[self.shape.outputs]
        memory = b.alloc([max(len(factors), 1), self.shape.lanes], self.type_)
        for number, factor in enumerate(factors):
            b.store(b.splat([self.shape.lanes], self.type_, factor), memory, [number, 0], [1])
        return memory

    # -- products -------------------------------------------------------------------------------------------------

    def _multiply(self, block: Block, channel: Index, size: int) -> None:
        """The sums over all input channels of a panel of output channels, plane by plane.

        Each count of tiles that a block may have has code of its own.
        """
        b, counts = self.b, self.shape.counts
        if counts is None:
            self._multiply_any(block.count, channel, size)
            return
        with b.for_each(0, self.shape.planes) as plane:
            for tiles in counts:
                with contextlib.ExitStack() as stack:
                    if len(counts) > 1:
                        equal = arith.cmpi(arith.CmpIPredicate.eq, b.value(block.count), b.value(tiles))
                        stack.enter_context(b.when(equal))
                    passes = -(-tiles // self.shape.product_rows)
                    height = -(-tiles // passes)
                    b.tiles(0, 0, tiles, height, self._product(plane, height, passes, channel, size))

    def _multiply_any(self, count: Index, channel: Index, size: int) -> None:
        """Likewise where only a call knows how many tiles a block has.

        They are cut evenly, and multiplied by the lowest register tile that covers a part: what it computes beyond the
        last tile, nobody reads.
        """
        b, most = self.b, self.shape.product_rows
        part = b.ceildiv(count, b.ceildiv(count, most))
        lower = 0
        for height in self._heights():
            with b.when(b.inside(part, lower + 1, height + 1)), b.for_each(0, self.shape.planes) as plane:
                product = self._product(plane, height, 1, channel, size)  # Few tiles wait for weights the longest.
                with b.for_each(0, count, height) as row:
                    product(row, height, None)
            lower = height

    def _heights(self) -> list[int]:
        """The heights of register tiles where only a call knows how many tiles a block has."""
        most = self.shape.product_rows
        return sorted({-(-most * share // SHARES[-1]) for share in SHARES})

    def _product(self, plane: Index, rows: int, passes: int, channel: Index, size: int) -> TileBody:
        """What multiplies so many rows of a plane, which takes so many `passes`."""
        b = self.b
        packing = self.kernel.packing_of(self.kernel.root.operands[1])
        ahead = WeightsAhead.of(self.weight, packing, (rows, size), passes, leading=2)
        panel = b.add(b.mul(b.floordiv(channel, self.weight_block), self.shape.planes), plane)

        def product(row: Index, height: int, _: Index | None) -> None:
            shape, place = [height, size], [plane, row, 0]
            ask = functools.partial(ahead.ask, b, panel, b.floordiv(row, rows)) if ahead else None
            step = self._step(plane, row, height, channel, size, ask)
            b.store(self._sum(step, 0, min(CHUNK, self.shape.depth), shape), self.products, place, [1, 2])

            def add_chunk(first: Index, depth: int, _: Index | None) -> None:
                before = b.load(self.products, place, shape, [1, 2])
                total = self._sum(step, first, depth, shape)
                b.store(arith.addf(before, total), self.products, place, [1, 2])

            if self.shape.depth > CHUNK:
                b.tiles(CHUNK, 0, self.shape.depth, CHUNK, add_chunk)

        return product

    def _sum(self, step: Step, first: Index, depth: int, shape: list[int]) -> ir.Value:
        """The sum over `depth` input channels from `first` on."""
        b, at_once = self.b, min(self.schedule.tile("ic"), depth)
        end, main = b.add(first, depth), b.add(first, depth - depth % at_once)
        total = b.reduce(first, main, at_once, b.splat(shape, self.type_, 0.0), step(at_once))
        return b.reduce(main, end, 1, total, step(1)) if depth % at_once else total

    def _step(self, plane: Index, row: Index, height: int, channel: Index, size: int, ask: Ask | None) -> Step:
        b = self.b
        block, within = b.floordiv(channel, self.weight_block), b.mod(channel, self.weight_block)

        def step(depth: int) -> Callable[[Index, ir.Value], ir.Value]:
            def body(k: Index, total: ir.Value) -> ir.Value:
                if ask is not None:
                    ask(k, depth)
                lhs = b.load(self.inputs, [plane, row, k], [height, depth], [1, 2])
                rhs = b.load(self.weight, [block, plane, k, within], [depth, size], [2, 3])
                return b.contract(lhs, rhs, total)

            return body

        return step

    # -- results --------------------------------------------------------------------------------------------------

    def _results(self, block: Block, channel: Index, size: int) -> None:
        """The pixels of all tiles of a panel, vector by vector of channels."""
        b, shape = self.b, self.shape
        self._load_factors(size)
        with b.for_each(0, block.count) as tile:
            number = b.add(block.first, tile)
            row, column = b.floordiv(number, block.columns), b.mod(number, block.columns)
            first = [b.mul(at, shape.outputs) for at in (row, column)]

            def vector(offset: Index, lanes: int, _: Index | None) -> None:
                self._down(tile, offset, lanes)
                self._across(block.image, first, b.add(channel, offset), lanes)

            b.tiles(0, 0, size, shape.lanes, vector)

    def _load_factors(self, size: int) -> None:
        """The factors of the results' transform, by how many lanes they are for.

        They are loaded after the products: constants would stay in registers that the products need.
        """
        b, count = self.b, len(RESULT_FACTORS[self.shape.outputs])
        self.loaded = {
            lanes: [b.load(self.factors, [number, 0], [lanes], [1]) for number in range(count)]
            for lanes in {min(size, self.shape.lanes), size % self.shape.lanes} - {0}
        }

    def _down(self, tile: Index, channel: Index, lanes: int) -> None:
        """Transform the products of a tile along its columns."""
        b, shape = self.b, self.shape
        with b.for_each(0, shape.points) as column:
            places = [b.add(column, row * shape.points) for row in range(shape.points)]
            values = [b.load(self.products, [place, tile, channel], [lanes], [2]) for place in places]
            for row, value in enumerate(RESULTS[shape.outputs](b, self.loaded[lanes], values)):
                b.store(value, self.half, [row, column, 0], [2])

    def _across(self, image: Index, first: Sequence[Index], channel: Index, lanes: int) -> None:
        """Transform along the rows, and store what lies in the image."""
        b, shape = self.b, self.shape
        height, width = (b.size(self.kernel.results_memory[0], axis) for axis in (1, 2))
        with b.for_each(0, _count(b, first[0], shape.outputs, height)) as row:
            values = [b.load(self.half, [row, column, 0], [lanes], [2]) for column in range(shape.points)]
            for number, value in enumerate(RESULTS[shape.outputs](b, self.loaded[lanes], values)):
                column = b.add(first[1], number)
                place = TilePlace((image, b.add(first[0], row), column, channel), (3,), (lanes,), (None,))
                with contextlib.ExitStack() as stack:
                    if number and not (isinstance(width, int) and width % shape.outputs == 0):
                        stack.enter_context(b.when(b.less(column, width)))
                    store_results(b, self.kernel, {self.kernel.root.results[0]: value}, place)


def _count(b: LoopBuilder, first: Index, block: int, total: Index) -> Index:
    """How many of a block's `block` elements, the first of which is there, lie below `total`."""
    whole = isinstance(total, int) and total % block == 0
    return block if whole else b.min(block, b.sub(total, first))


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a conv2d kernel whose schedule names one of Winograd's variants."""
    _Winograd(b, kernel, WinogradShape.of(kernel)).emit()
