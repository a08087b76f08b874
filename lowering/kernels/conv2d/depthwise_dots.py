"""A depthwise convolution of int8 by an atom that adds four products at a time: those of a column of the window.

The bytes of four rows stand side by side for each channel; they are put so once, and meet a column of each window that
they are in. The atom reads them as unsigned, 128 more than they are: outside the image they are 128, so that the sums
that stand beside the packed weights undo it everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from terrace.lowering.graph.payload_types import constant
from terrace.lowering.kernels.builder import Index, Span
from terrace.lowering.kernels.conv2d.depthwise import Depthwise, Segment
from terrace.lowering.kernels.view import TilePlace, store_results
from terrace.mlir import arith, ir

ROWS = 4
"""Rows that stand side by side."""

NOTHING = -128
"""A zero that is 128 more than it is, as an i8."""


class DepthwiseDots(Depthwise):
    """One kernel's loops."""

    def _tile(self, image: Index, spans: dict[str, Span], start: Index, segments: Sequence[Segment]) -> None:
        b, kernel, windows, (g, channels, g_valid) = self.b, self.kernel, self.windows, spans["g"]
        oh, (beside,) = spans["oh"][0], kernel.beside["weight"]
        rows = [self._row_of(oh, tap) for tap in range(self.kh)]
        for part in segments:
            shape, valid = [1, part.count, channels], [None, None, g_valid]
            sums = b.load(beside, [g], shape, [-1, -1, 0], valid=valid)
            first = b.mul(b.add(start, part.first), windows.stride)
            for column in range(windows.taps):
                x = b.sub(b.add(first, column * windows.dilation), windows.low)
                for tap in range(0, self.kh, ROWS):
                    taps = rows[tap : tap + ROWS]
                    if column in part.columns:
                        pixels = [self._pixels([image, y, x, g], inside, shape, valid) for y, inside in taps]
                    else:
                        pixels = [b.splat(shape, ir.IntegerType.get_signless(8), NOTHING)] * len(taps)
                    weights = self.weight_packing.load(b, self.weight, [g, 0, tap, column], shape, [-1, -1, 0])
                    sums = b.dot(pixels, weights, sums, str(kernel.schedule.atom))
            place = TilePlace((image, oh, b.add(start, part.first), g), (1, 2, 3), tuple(shape), (None, None, g_valid))
            store_results(b, kernel, {kernel.root.results[0]: sums}, place)

    def _row_of(self, oh: Index, tap: int) -> tuple[Index, ir.Value]:
        """The image's row under one of the window, and a byte of ones; outside another row, and 0."""
        b, (top, *_), height = self.b, self.attrs.padding, self.b.size(self.input, 1)
        padded = b.add(b.mul(oh, self.attrs.strides[0]), tap * self.attrs.dilations[0])
        clamped = b.min(b.max(padded, top), b.add(height, top - 1))
        inside = b.inside(padded, top, b.add(height, top))
        return b.sub(clamped, top), arith.extsi(ir.IntegerType.get_signless(8), inside)

    def _pixels(
        self, at: Sequence[Index], inside: ir.Value, shape: Sequence[int], valid: Sequence[Index | None]
    ) -> ir.Value:
        """Pixels of a row, 128 more than they are; zeros where that is outside."""
        b, strides = self.b, [1, self.windows.stride, 1]
        pixels = b.load(self.input, at, shape, [1, 2, 3], strides, valid, as_stored=True)
        return arith.xori(arith.andi(pixels, b.spread(shape, inside)), constant(pixels.type, NOTHING))
