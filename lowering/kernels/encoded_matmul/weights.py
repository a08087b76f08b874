"""The weights of an encoded_matmul kernel: where their codes, scales and zero points lie, and tiles of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from terrace.dialects import loop
from terrace.dialects.base import attributes_of, shape_of, to_attribute
from terrace.dialects.encodings import IntegerGroups, encoding_of
from terrace.lowering.graph.payload_types import cast
from terrace.lowering.kernels.builder import LINE, PAGE, Index, LoopBuilder
from terrace.lowering.kernels.encoded_matmul.schedule import UNIT, WORD
from terrace.lowering.kernels.packing import Pack
from terrace.lowering.kernels.view import KernelView
from terrace.mlir import arith, ir

TOGETHER = 2
"""Codes of a word that are decoded beside each other, for an atom."""

AHEAD = 2 * PAGE
"""How many bytes before they are decoded codes are asked for."""

Place = tuple[Index, Index]
"""A row, along k, and a column."""


@dataclasses.dataclass(frozen=True)
class Weights:
    """`codes` are [n/w][k/8][w][4] where there are two in a byte, else [n/w][k][w]; what is `beside`, the scales and
    perhaps the zero points, is [n/w][groups][w].
    """

    encoding: IntegerGroups
    codes: ir.Value
    beside: tuple[ir.Value, ...]
    width: int

    depth = UNIT
    """The granularity of places along k, as `Matrix.depth`."""

    @staticmethod
    def of(kernel: KernelView) -> Weights:
        """Refuses other packings than those that blocks of columns have."""
        encoding = encoding_of(attributes_of(kernel.root).encoding)
        assert isinstance(encoding, IntegerGroups), "the family refuses others"
        axes, width = (1 - encoding.axis, encoding.axis), 0
        for name, operand in zip(kernel.operands[1:], kernel.root.operands[1:], strict=False):
            layout = kernel.packing_of(operand)
            words = name == "rhs" and encoding.per_byte > 1
            width = width or (layout.inner_tiles[0] if isinstance(layout, Pack) and layout.inner_tiles else 1)
            wanted = Pack(axes, axes, (width, WORD)) if words else Pack(axes, axes[:1], (width,))
            if layout != wanted:
                form = "[n/w][k/8][w][4]" if words else "[n/w][k][w]"
                raise kernel.refuse(f"'{name}' must enter 'device' in blocks of columns, {form}, of one width w")
        if kernel.schedule.tile("n") != width:
            raise kernel.refuse(f"tile size {kernel.schedule.tile('n')} of 'n' must be the {width} columns of a block")
        memory = [kernel.memory_of(value) for value in kernel.root.operands]
        return Weights(encoding, memory[1], tuple(memory[2:]), width)

    @property
    def held(self) -> ir.Type:
        """What decoded elements are."""
        return ir.F32Type.get()

    def load(
        self, b: LoopBuilder, at: Place, shape: tuple[int, int], valid: Sequence[Index | None] = (None, None)
    ) -> ir.Value:
        """The decoded tile of `shape` at a place, whose rows are all of one group. Blocks are whole: all is there."""
        numbers = self.numbers(b, at, shape)
        scales, *zeros = (self.of_group(b, part, at, shape) for part in self.beside)
        return arith.mulf(arith.subf(numbers, zeros[0]) if zeros else numbers, scales)

    def of_group(self, b: LoopBuilder, part: ir.Value, at: Place, shape: tuple[int, int]) -> ir.Value:
        """Scales or zero points of the group that row `at[0]` is of, in each row of a tile of `shape`."""
        group = b.floordiv(at[0], self.encoding.group)
        block, column = b.floordiv(at[1], self.width), b.mod(at[1], self.width)
        return b.load(part, [block, group, column], shape, [-1, 2])

    def prefetch(self, b: LoopBuilder, at: Place, k: int) -> None:
        """Ask for the codes that stand `AHEAD` bytes behind those of `k` rows of a panel, which are one stream."""
        shape = shape_of(self.codes)
        count, row = math.prod(shape), math.prod(shape[2:])
        panel, step = b.floordiv(at[1], self.width), b.floordiv(at[0], self.codes_together)
        first = b.add(b.mul(b.add(b.mul(panel, shape[1]), step), row), AHEAD)
        for line in range(0, k // self.codes_together * row, LINE):
            b.prefetch(self.codes, [*[0] * (len(shape) - 1), b.min(b.add(first, line), count - 1)])

    @property
    def codes_together(self) -> int:
        """How many codes along k a step decodes at the least."""
        return WORD * self.encoding.per_byte if self.encoding.per_byte > 1 else 1

    def numbers(self, b: LoopBuilder, at: Place, shape: tuple[int, int], together: int = 1) -> ir.Value:
        """The codes at a place as f32, [k, n]; or `together` of each word beside each other, as bf16, [k/q, n, q]."""
        (k, n), (row, column) = shape, at
        block, column = b.floordiv(column, self.width), b.mod(column, self.width)
        if self.encoding.per_byte == 1:
            return cast(b.load(self.codes, [block, row, column], shape, [1, 2]), self.held)
        place, words = [block, b.floordiv(row, self.codes_together), column, 0], k // self.codes_together
        codes = b.load(self.codes, place, [words, n, WORD], [1, 2, 3], as_stored=True)
        number = self.held if together == 1 else ir.BF16Type.get()
        type_ = ir.VectorType.get([k // together, n, *[together] * (together > 1)], number)
        return loop.UnpackTileOp(codes, to_attribute(self.encoding.bits), type_).operation.results[0]
