"""Tiles as values: what the targets share that hold a tile in registers, as a list of parts.

Ops on tiles are repeated for each part, and loop-carried tiles become that many loop-carried values.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Protocol, TypeVar

from terrace.lowering.target.tile_rebuilder import H, TileRebuilder, is_tile, splat_of
from terrace.mlir import arith, ir, vector


class TileParts(Protocol):
    """A tile whose parts are values of types that the target has."""

    @property
    def values(self) -> list[ir.Value]: ...


P = TypeVar("P", bound=TileParts)


class PartsRebuilder(TileRebuilder[P, H]):
    """Rebuilds one function with parts. Tiles that are held alike have as many, of the same types."""

    @abc.abstractmethod
    def part_types(self, holding: H) -> list[ir.Type]:
        """The types of the parts of a tile."""

    @abc.abstractmethod
    def make_tile(self, holding: H, values: list[ir.Value]) -> P:
        """The tile with these parts."""

    def carried(self, values: Sequence[ir.Value], results: Sequence[ir.Value]) -> list[ir.Value]:
        parts: list[ir.Value] = []
        for value, result in zip(values, results, strict=True):
            parts += self.tile(value, self.held(result)).values if is_tile(value) else [self.plain(value)]
        return parts

    def carried_types(self, values: Sequence[ir.Value]) -> list[ir.Type]:
        return [t for v in values for t in (self.part_types(self.held(v)) if is_tile(v) else [v.type])]

    def give(self, values: Sequence[ir.Value], results: Sequence[ir.Value]) -> list[ir.Value]:
        return self.carried(values, results)

    def take(self, old: Sequence[ir.Value], new: Sequence[ir.Value]) -> None:
        remaining = list(new)
        for value in old:
            if is_tile(value):
                holding = self.held(value)
                count = len(self.part_types(holding))
                self.set_tile(value, self.make_tile(holding, remaining[:count]), holding)
                remaining = remaining[count:]
            else:
                self.values[value] = remaining.pop(0)

    def elementwise(self, operation: ir.Operation) -> None:
        """The same op on each part."""
        result = operation.results[0]
        self.tiles[result] = {holding: self._apply(operation, holding) for holding in self.wants_of(result)}

    def _apply(self, operation: ir.Operation, holding: H) -> P:
        """The result of an elementwise op, held in a way. Equal operands give one op."""
        parts = self.part_types(holding)
        if operation.name in ("arith.constant", "vector.broadcast"):
            number = splat_of(operation) if operation.name == "arith.constant" else self.plain(operation.operands[0])
            return self.make_tile(holding, _repeated(number, parts))
        # A condition may be one for all elements.
        operands = [
            self.tile(v, self.retyped(holding, v.type)).values if is_tile(v) else [self.plain(v)] * len(parts)
            for v in operation.operands
        ]
        attributes = dict(operation.attributes.items())
        made: dict[tuple[ir.Value, ...], ir.Value] = {}
        results = []
        for part, key in zip(parts, zip(*operands, strict=True), strict=True):
            if key not in made:
                made[key] = ir.Operation.create(operation.name, [part], list(key), attributes).results[0]
            results.append(made[key])
        return self.make_tile(holding, results)


def _repeated(number: ir.Attribute | ir.Value, parts: list[ir.Type]) -> list[ir.Value]:
    """Parts whose elements are all the same number."""
    made: dict[ir.Type, ir.Value] = {}
    for part in parts:
        if part in made:
            continue
        is_vector = isinstance(part, ir.VectorType)
        if isinstance(number, ir.Attribute):
            made[part] = arith.constant(part, ir.DenseElementsAttr.get_splat(part, number) if is_vector else number)
        else:
            made[part] = vector.broadcast(part, number) if is_vector else number
    return [made[part] for part in parts]
