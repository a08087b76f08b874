"""Rebuilding loop functions without tiles: what the targets that lower tiles share.

A tile becomes a list of parts, values of types that the target has; ops on tiles are repeated for each part and
loop-carried tiles become that many loop-carried values. What is not a tile is copied unchanged. A target says what the
parts of a tile are and lowers the tile ops. Each function is rebuilt beside the old one, which is then erased.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from terrace.mlir import arith, func, ir, scf
from terrace.passes import fail


class TileParts(Protocol):
    """A tile as a target holds it."""

    @property
    def values(self) -> list[ir.Value]: ...


T = TypeVar("T", bound=TileParts)


class TileRebuilder(abc.ABC, Generic[T]):
    """Rebuilds one function; `values` maps each old value to its new one, `tiles` to its tile of parts."""

    machine = ""
    """What tiles are lowered to, for messages."""

    def __init__(self) -> None:
        self.values: dict[ir.Value, ir.Value] = {}
        self.tiles: dict[ir.Value, T] = {}
        self.handlers: dict[str, Callable[[ir.Operation], None]] = {"scf.for": self.for_}

    @abc.abstractmethod
    def part_types(self, type_: ir.Type) -> list[ir.Type]:
        """The types of the parts of a tile."""

    @abc.abstractmethod
    def make_tile(self, type_: ir.Type, values: list[ir.Value]) -> T:
        """The tile of a type with these parts."""

    # -- values ---------------------------------------------------------------------------------------------------

    def plain(self, value: ir.Value) -> ir.Value:
        return self.values[value]

    def tile(self, value: ir.Value) -> T:
        return self.tiles[value]

    def flatten(self, value: ir.Value) -> list[ir.Value]:
        return self.tile(value).values if isinstance(value.type, ir.VectorType) else [self.plain(value)]

    def unflatten(self, old: Sequence[ir.Value], new: Sequence[ir.Value]) -> None:
        remaining = list(new)
        for value in old:
            if isinstance(value.type, ir.VectorType):
                count = len(self.part_types(value.type))
                self.tiles[value] = self.make_tile(value.type, remaining[:count])
                remaining = remaining[count:]
            else:
                self.values[value] = remaining.pop(0)

    # -- ops ------------------------------------------------------------------------------------------------------

    def function(self, function: func.FuncOp) -> Any:
        """Rebuild `function` (a func.func) without tiles, and erase it; the new one keeps its attributes."""
        with ir.InsertionPoint(function.operation), function.operation.location:
            new = func.FuncOp(function.name.value, function.type)
        for name, attribute in function.attributes.items():
            if name not in ("sym_name", "function_type"):
                new.attributes[name] = attribute
        entry = new.add_entry_block()
        self.values.update(zip(function.entry_block.arguments, entry.arguments, strict=True))
        with ir.InsertionPoint(entry):
            self.block(function.entry_block)
        function.operation.erase()
        return new

    def block(self, old: ir.Block) -> None:
        """Rebuild the ops of `old` at the current insertion point."""
        for view in old.operations:
            operation = view.operation
            with operation.location:
                self.operation(operation)

    def operation(self, operation: ir.Operation) -> None:
        handler = self.handlers.get(operation.name)
        if handler is not None:
            handler(operation)
        elif any(isinstance(v.type, ir.VectorType) for v in operation.results):
            self.elementwise(operation)
        else:
            self.copy(operation)

    def copy(self, operation: ir.Operation) -> None:
        """The same op on mapped operands, its regions rebuilt."""
        new = ir.Operation.create(
            operation.name,
            results=[r.type for r in operation.results],
            operands=[v for old in operation.operands for v in self.flatten(old)],
            attributes=dict(operation.attributes.items()),
            regions=len(operation.regions),
        )
        self.values.update(zip(operation.results, new.results, strict=True))
        for old_region, new_region in zip(operation.regions, new.regions, strict=True):
            self.region(old_region, new_region)

    def region(self, old: ir.Region, new: ir.Region) -> None:
        """Rebuild the blocks of a region in an empty one."""
        for old_block in old.blocks:
            new_block = new.blocks.append(*[a.type for a in old_block.arguments])
            self.values.update(zip(old_block.arguments, new_block.arguments, strict=True))
            with ir.InsertionPoint(new_block):
                self.block(old_block)

    def for_(self, operation: ir.Operation) -> None:
        """A loop whose carried tiles become carried parts."""
        old = operation.opview
        initial = list(operation.operands)[3:]
        lower, upper, step = (self.plain(v) for v in list(operation.operands)[:3])
        new = scf.ForOp(lower, upper, step, [v for i in initial for v in self.flatten(i)])
        arguments = list(old.body.arguments)
        self.values[arguments[0]] = new.induction_variable
        self.unflatten(arguments[1:], list(new.inner_iter_args))
        with ir.InsertionPoint(new.body):
            self.block(old.body)
        self.unflatten(list(operation.results), list(new.results))

    def elementwise(self, operation: ir.Operation) -> None:
        """An arith or math op on tiles: the same op on each part. Equal operands give one op."""
        if not operation.name.startswith(("arith.", "math.")):
            raise fail(operation, f"has no lowering to {self.machine}")
        type_ = operation.results[0].type
        parts = self.part_types(type_)
        if operation.name == "arith.constant":
            self.tiles[operation.results[0]] = self.make_tile(type_, self._constants(operation, parts))
            return
        operands = [self.tile(v).values for v in operation.operands]
        attributes = dict(operation.attributes.items())
        made: dict[tuple[ir.Value, ...], ir.Value] = {}
        results = []
        for part, key in zip(parts, zip(*operands, strict=True), strict=True):
            if key not in made:
                made[key] = ir.Operation.create(operation.name, [part], list(key), attributes).results[0]
            results.append(made[key])
        self.tiles[operation.results[0]] = self.make_tile(type_, results)

    @staticmethod
    def _constants(operation: ir.Operation, parts: list[ir.Type]) -> list[ir.Value]:
        value = operation.attributes["value"]
        if not isinstance(value, ir.DenseElementsAttr) or not value.is_splat:
            raise fail(operation, "is not a splat; a constant tile must be one")
        made: dict[ir.Type, ir.Value] = {}
        for part in parts:
            if part not in made:
                splat = value.get_splat_value()
                if isinstance(part, ir.VectorType):
                    splat = ir.DenseElementsAttr.get_splat(part, splat)
                made[part] = arith.constant(part, splat)
        return [made[part] for part in parts]
