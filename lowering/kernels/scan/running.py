"""What a scan carries along a line: the sum, product or extreme so far, or that and where the extreme stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.graph.payload_types import (
    cast,
    compare,
    compute_type,
    constant,
    follow,
    is_float,
    neutral,
    scalar_type,
)
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.places import integer_of_places
from terrace.lowering.kernels.view import KernelView, TilePlace
from terrace.mlir import arith, ir


class Running(ABC):
    """What is carried: some tiles of one shape."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b = b
        self.kind = attributes_of(kernel.root).kind
        self.memory, self.type = kernel.memory_of(kernel.root.operands[0]), kernel.accumulator

    def load(self, place: TilePlace) -> ir.Value:
        return cast(self.b.load(self.memory, place.offsets, place.shape, place.axes, valid=place.valid), self.type)

    @abstractmethod
    def nothing(self, shape: Sequence[int]) -> list[ir.Value]:
        """What is carried to the first element."""

    @abstractmethod
    def along(self, place: TilePlace, before: list[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
        """What is so far at each element of a tile of rows, where `before` [..., 1] came before; and at their end."""

    @abstractmethod
    def next(self, place: TilePlace, before: list[ir.Value]) -> list[ir.Value]:
        """What is so far at the next element of lines."""

    @abstractmethod
    def result(self, found: list[ir.Value]) -> ir.Value:
        """The elements of the result, as they are computed with."""


class Values(Running):
    """Sums, products and extremes."""

    def nothing(self, shape: Sequence[int]) -> list[ir.Value]:
        return [self.b.splat(shape, self.type, neutral(self.kind, self.type))]

    def along(self, place: TilePlace, before: list[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
        found, whole = _scan(self.b, self.kind, self.load(place), before[0])
        return [found], [whole]

    def next(self, place: TilePlace, before: list[ir.Value]) -> list[ir.Value]:
        return [follow(self.kind, before[0], self.load(place))]

    def result(self, found: list[ir.Value]) -> ir.Value:
        return cast(found[0], compute_type(ir.MemRefType(self.memory.type).element_type))


class Places(Running):
    """Extremes and where they stand: the last place so far at which an element was the extreme."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        super().__init__(b, kernel)
        self.integer = integer_of_places(self.memory)

    def nothing(self, shape: Sequence[int]) -> list[ir.Value]:
        return [self.b.splat(shape, self.type, neutral(self.kind, self.type)), self.b.splat(shape, self.integer, 0)]

    def along(self, place: TilePlace, before: list[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
        value, (extreme, last) = self.load(place), before
        found, whole = _scan(self.b, self.kind, value, extreme)
        here = self.b.index_tile(place.shape, place.offsets[1], 1, self.integer)
        candidates = arith.select(_is_extreme(value, found), here, constant(here.type, 0))
        places, place_of_whole = _scan(self.b, "max", candidates, last)
        return [found, places], [whole, place_of_whole]

    def next(self, place: TilePlace, before: list[ir.Value]) -> list[ir.Value]:
        value, (extreme, last) = self.load(place), before
        found = follow(self.kind, extreme, value)
        here = self.b.spread(place.shape, arith.index_cast(self.integer, self.b.value(place.offsets[1])))
        return [found, arith.select(_is_extreme(value, found), here, last)]

    def result(self, found: list[ir.Value]) -> ir.Value:
        return cast(found[1], ir.IntegerType.get_signless(64))


def _scan(b: LoopBuilder, kind: str, tile: ir.Value, before: ir.Value) -> tuple[ir.Value, ir.Value]:
    """What is so far at each element of a tile, and at the end of its rows."""
    running, whole = b.scan_tile(tile, kind)
    return follow(kind, b.broadcast_tile(before, shape_of(tile)[-1]), running), follow(kind, before, whole)


def _is_extreme(value: ir.Value, so_far: ir.Value) -> ir.Value:
    """Whether elements are the extreme of those up to them; each NaN is."""
    is_it = compare("eq", value, so_far)
    return arith.ori(is_it, compare("ne", value, value)) if is_float(scalar_type(value.type)) else is_it
