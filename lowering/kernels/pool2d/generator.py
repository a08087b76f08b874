"""The generator of `graph.max_pool2d`, `graph.avg_pool2d` and `graph.sum_pool2d` (NHWC).

A tile of pixels of a row by channels is kept while the window moves. Where windows hang over the edge of the image,
the loops over the window run over the part that is inside, pixel by pixel: padding is never read.
"""

from __future__ import annotations

from terrace.dialects.base import attributes_of
from terrace.lowering.graph.payload_types import cast, combine, neutral
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import arith, ir

DIMS = ("n", "oh", "ow", "c")


class _Pool2d:
    """One kernel's loops."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel = b, kernel
        root = kernel.root
        self.attrs, self.is_mean = attributes_of(root), root.name == "graph.avg_pool2d"
        self.kind = "max" if root.name == "graph.max_pool2d" else "sum"
        if self.attrs.layout != "NHWC":
            raise kernel.refuse("pooling must be in layout NHWC; run choose-layout first")
        self.input, result = kernel.memory_of(root.operands[0]), kernel.results_memory[0]
        self.element_type = kernel.accumulator
        self.sizes = {dim: b.size(result, axis) for axis, dim in enumerate(DIMS)}
        kernel.check_schedule(tiled=("ow", "c"), blocked=DIMS)
        if self.clips(1) and kernel.schedule.tile("ow") != 1:
            raise kernel.refuse("tile size of 'ow' must be 1 where windows hang over the edge")

    def clips(self, axis: int) -> bool:
        """Whether windows may hang over the edge along rows (0) or columns (1)."""
        return self.attrs.ceil_mode or any(self.attrs.padding[2 * axis : 2 * axis + 2])

    def emit(self) -> None:
        nest(self.b, self.kernel, self.sizes, lambda start: self.tile)

    def tile(self, spans: dict[str, Span]) -> None:
        b, (ow, width, ow_valid), (c, channels, c_valid) = self.b, spans["ow"], spans["c"]
        image, row = spans["n"][0], spans["oh"][0]
        shape, valid = (width, channels), (ow_valid, c_valid)
        rows, columns = self.window(0, row), self.window(1, ow)
        (stride_y, stride_x), (dilation_y, dilation_x) = self.attrs.strides, self.attrs.dilations
        top, left = self.attrs.padding[0], self.attrs.padding[2]

        def step(ky: Index, kx: Index, total: ir.Value) -> ir.Value:
            y = b.sub(b.add(b.mul(row, stride_y), b.mul(ky, dilation_y)), top)
            x = b.sub(b.add(b.mul(ow, stride_x), b.mul(kx, dilation_x)), left)
            pixels = b.load(self.input, [image, y, x, c], shape, [2, 3], [stride_x, 1], valid)
            return combine(self.kind, total, cast(pixels, self.element_type))

        def line(ky: Index, total: ir.Value) -> ir.Value:
            return b.reduce(*columns, 1, total, lambda kx, inner: step(ky, kx, inner))

        initial = b.splat(shape, self.element_type, neutral(self.kind, self.element_type))
        total = b.reduce(*rows, 1, initial, line)
        if self.is_mean:
            counts = self.counted(0, row, rows), self.counted(1, ow, columns)
            total = self.mean(total, shape, b.mul(*counts))
        place = TilePlace((image, row, ow, c), (2, 3), shape, valid)
        store_results(b, self.kernel, {self.kernel.root.results[0]: total}, place)

    def window(self, axis: int, position: Index) -> tuple[Index, Index]:
        """The part of the window at an output position that lies inside the image, along one axis."""
        b, attrs = self.b, self.attrs
        if not self.clips(axis):
            return 0, attrs.kernel[axis]
        low, dilation = attrs.padding[2 * axis], attrs.dilations[axis]
        start = b.mul(position, attrs.strides[axis])
        before = b.max(b.sub(low, start), 0)
        inside = b.sub(b.add(b.size(self.input, 1 + axis), low), start)
        return b.ceildiv(before, dilation), b.min(attrs.kernel[axis], b.ceildiv(inside, dilation))

    def counted(self, axis: int, position: Index, inside: tuple[Index, Index]) -> Index:
        """How many elements of a window the mean is of, along one axis: those `inside` the image, or padding, too."""
        b, attrs, size = self.b, self.attrs, self.attrs.kernel[axis]
        if not attrs.count_include_pad:
            return b.sub(inside[1], inside[0])
        if not attrs.ceil_mode:
            return int(size)
        # The last window hangs over the padding, too.
        room = b.add(b.size(self.input, 1 + axis), sum(attrs.padding[2 * axis : 2 * axis + 2]))
        room = b.sub(room, b.mul(position, attrs.strides[axis]))
        return b.min(size, b.ceildiv(room, attrs.dilations[axis]))

    def mean(self, total: ir.Value, shape: tuple[int, int], count: Index) -> ir.Value:
        """The sum divided by a count of elements."""
        if isinstance(count, int):
            return arith.mulf(total, self.b.splat(shape, self.element_type, 1.0 / count))
        number = arith.sitofp(self.element_type, arith.index_cast(ir.IntegerType.get_signless(64), count))
        return arith.divf(total, self.b.spread(shape, number))


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a pooling kernel."""
    _Pool2d(b, kernel).emit()
