"""A whole order of lines: a radix sort, from the lowest digit up. Each pass keeps the order of what has equal digits.

Keys and places move between two pairs of arrays in local memory, the places of the last pass to the result.
"""

from __future__ import annotations

from collections.abc import Callable

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.graph.payload_types import cast, compute_type, constant, limits
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.sort.keys import key_type, keys_of
from terrace.lowering.kernels.view import KernelView
from terrace.mlir import arith, ir, memref

DIGIT_BITS = 8
DIGITS = 1 << DIGIT_BITS
PART = 32
"""Digits whose counts are added up together."""


class Radix:
    """One kernel's loops."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel = b, kernel
        self.descending = attributes_of(kernel.root).descending
        (self.memory,), (self.result,) = [kernel.memory_of(v) for v in kernel.root.operands], kernel.results_memory
        self.size = shape_of(self.memory)[1]
        self.element = element_type_of(self.memory)
        self.key, self.place = key_type(self.element), ir.IntegerType.get_signless(32)
        self.passes = self.key.width // DIGIT_BITS

    def rows(self, where: dict[str, Span]) -> None:
        """One row, whose keys are made of vectors."""
        b, row, arrays = self.b, where["m"][0], self._arrays()

        def make(column: Index, size: int, valid: Index | None) -> None:
            keys = self._unsigned(b.load(self.memory, [row, column], (size,), (1,)))
            b.store(keys, arrays[0][0], [column], (0,))

        b.tiles(0, 0, self.size, self.kernel.schedule.tile("n"), make)
        self._sort(arrays, lambda at: [row, at])

    def lines(self, where: dict[str, Span]) -> None:
        """One line that is no row."""
        b, outer, inner, arrays = self.b, where["m"][0], where["l"][0], self._arrays()
        with b.for_each(0, self.size) as at:
            value = memref.load(self.memory, [b.value(index) for index in (outer, at, inner)])
            memref.store(self._unsigned(cast(value, compute_type(self.element))), arrays[0][0], [b.value(at)])
        self._sort(arrays, lambda at: [outer, at, inner])

    def _arrays(self) -> list[list[ir.Value]]:
        """Two pairs of keys and places."""
        return [[self.b.alloc([self.size], type_) for type_ in (self.key, self.place)] for _ in range(2)]

    def _unsigned(self, value: ir.Value) -> ir.Value:
        """The keys of elements, in unsigned order."""
        keys = keys_of(value, self.descending)
        return arith.xori(keys, constant(keys.type, limits(self.key)[0]))

    def _sort(self, arrays: list[list[ir.Value]], position: Callable[[Index], list[Index]]) -> None:
        """Order what the first array of keys holds; `position` says where an element of the result stands."""
        b, begins, last = self.b, self._begins(arrays[0][0]), self.passes - 1
        for number in range(self.passes):
            (keys, places), (next_keys, next_places) = arrays[number % 2], arrays[1 - number % 2]
            with b.for_each(0, self.size) as at:
                key = memref.load(keys, [b.value(at)])
                place = memref.load(places, [b.value(at)]) if number else arith.index_cast(self.place, b.value(at))
                to = self._take(begins, key, number)
                if number == last:
                    wide = cast(place, ir.IntegerType.get_signless(64))
                    memref.store(wide, self.result, [b.value(index) for index in position(to)])
                else:
                    memref.store(key, next_keys, [to])
                    memref.store(place, next_places, [to])

    def _begins(self, keys: ir.Value) -> ir.Value:
        """Where the first key of each digit comes to stand, for each pass."""
        b, counts = self.b, self.b.alloc([self.passes, DIGITS], self.place)
        zeros = b.splat((1, PART), self.place, 0)
        with b.for_each(0, self.passes) as number, b.for_each(0, DIGITS, PART) as first:
            b.store(zeros, counts, [number, first], (0, 1))
        with b.for_each(0, self.size) as at:
            key = memref.load(keys, [b.value(at)])
            for number in range(self.passes):
                self._take(counts, key, number)
        with b.for_each(0, self.passes) as number:

            def add_up(first: Index, before: ir.Value) -> ir.Value:
                own = b.load(counts, [number, first], (1, PART), (0, 1))
                so_far, whole = b.scan_tile(own, "sum")
                so_far = arith.addi(so_far, b.broadcast_tile(before, PART))
                b.store(arith.subi(so_far, own), counts, [number, first], (0, 1))
                return arith.addi(before, whole)

            b.reduce(0, DIGITS, PART, b.splat((1, 1), self.place, 0), add_up)
        return counts

    def _take(self, counts: ir.Value, key: ir.Value, number: int) -> ir.Value:
        """What is counted for a key's digit of one pass, an index, and then one more."""
        shifted = arith.shrui(key, constant(key.type, DIGIT_BITS * number)) if number else key
        digit = arith.index_cast(ir.IndexType.get(), arith.andi(shifted, constant(key.type, DIGITS - 1)))
        at = [self.b.value(number), digit]
        found = memref.load(counts, at)
        memref.store(arith.addi(found, constant(self.place, 1)), counts, at)
        return arith.index_cast(ir.IndexType.get(), found)
