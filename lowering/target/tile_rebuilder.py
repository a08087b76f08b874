"""Rebuilding loop functions without tiles: what the targets that lower tiles share.

A tile becomes a list of parts, values of types that the target has; ops on tiles are repeated for each part and
loop-carried tiles become that many loop-carried values. What is not a tile is copied unchanged. A target says how a
tile is held, which parts that makes, and lowers the tile ops. What multiplies wants its operands held in ways of its
own; that goes backwards through elementwise ops to the loads and constants, which are made once for each way that their
uses want. Each function is rebuilt beside the old one, which is then erased.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from terrace.mlir import arith, func, ir, scf, walk
from terrace.passes import fail


class TileParts(Protocol):
    """A tile as a target holds it."""

    @property
    def values(self) -> list[ir.Value]: ...


T = TypeVar("T", bound=TileParts)
H = TypeVar("H")
"""How a tile is held: its shape, its element type, and how it is cut into parts. Equal ones give equal parts."""


class TileRebuilder(abc.ABC, Generic[T, H]):
    """Rebuilds one function; `values` maps each old value to its new one, `tiles` to its tile of parts for each way in
    which it is held.
    """

    machine = ""
    """What tiles are lowered to, for messages."""

    def __init__(self) -> None:
        self.values: dict[ir.Value, ir.Value] = {}
        self.tiles: dict[ir.Value, dict[H, T]] = {}
        self.wants: dict[ir.Value, list[H]] = {}
        self.current: ir.Operation
        """The op that is being rebuilt, for messages."""
        self.handlers: dict[str, Callable[[ir.Operation], None]] = {"scf.for": self.for_, "scf.if": self.if_}

    @abc.abstractmethod
    def holding(self, type_: ir.Type) -> H:
        """How a tile is held where nothing wants it otherwise."""

    @abc.abstractmethod
    def part_types(self, holding: H) -> list[ir.Type]:
        """The types of the parts of a tile."""

    @abc.abstractmethod
    def make_tile(self, holding: H, values: list[ir.Value]) -> T:
        """The tile with these parts."""

    @abc.abstractmethod
    def convert(self, tile: T, holding: H) -> T:
        """The tile held in another way, at the current insertion point. Raises PassError if there is none."""

    def wanted(self, operation: ir.Operation, number: int) -> H | None:
        """How an op wants operand `number` held; None for the usual way."""
        return None

    # -- how tiles are held ---------------------------------------------------------------------------------------

    def find_wants(self, function: func.FuncOp) -> None:
        """For each tile, the ways of holding it that its uses want; uses come before what they use."""
        for operation in reversed(list(walk(function.operation))):
            elementwise = _is_elementwise(operation)
            for number, operand in enumerate(operation.operands):
                if not isinstance(operand.type, ir.VectorType):
                    continue
                if elementwise:
                    of_result = self.wants.get(operation.results[0], [])
                    here = [self.retyped(wanted, operand.type) for wanted in of_result]
                else:
                    here = [self.wanted(operation, number) or self.holding(operand.type)]
                known = self.wants.setdefault(operand, [])
                known += [holding for holding in here if holding not in known]

    @abc.abstractmethod
    def retyped(self, holding: H, type_: ir.Type) -> H:
        """The same way of holding a tile, of a type that has the same shape and another element type."""

    def wants_of(self, value: ir.Value) -> list[H]:
        """The ways of holding a tile that its uses want; the usual one if there are no uses."""
        return self.wants.get(value) or [self.holding(value.type)]

    # -- values ---------------------------------------------------------------------------------------------------

    def plain(self, value: ir.Value) -> ir.Value:
        return self.values[value]

    def tile(self, value: ir.Value, holding: H | None = None) -> T:
        """The tile, held in that way, or in the usual one."""
        holding = self.holding(value.type) if holding is None else holding
        known = self.tiles[value]
        return known[holding] if holding in known else self.convert(next(iter(known.values())), holding)

    def set_tile(self, value: ir.Value, tile: T) -> None:
        """A tile that is made in the usual way only."""
        self.tiles[value] = {self.holding(value.type): tile}

    def flatten(self, value: ir.Value) -> list[ir.Value]:
        return self.tile(value).values if isinstance(value.type, ir.VectorType) else [self.plain(value)]

    def unflatten(self, old: Sequence[ir.Value], new: Sequence[ir.Value]) -> None:
        remaining = list(new)
        for value in old:
            if isinstance(value.type, ir.VectorType):
                holding = self.holding(value.type)
                count = len(self.part_types(holding))
                self.set_tile(value, self.make_tile(holding, remaining[:count]))
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
        self.find_wants(function)
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
        self.current = operation
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

    def if_(self, operation: ir.Operation) -> None:
        """A condition whose tiles become parts, which both branches give."""
        types = [part for value in operation.results for part in self._types_of(value)]
        new = ir.Operation.create(operation.name, types, [self.plain(operation.operands[0])], regions=2)
        for old_region, new_region in zip(operation.regions, new.regions, strict=True):
            self.region(old_region, new_region)
        self.unflatten(list(operation.results), list(new.results))

    def _types_of(self, value: ir.Value) -> list[ir.Type]:
        """The types of what a value becomes."""
        is_tile = isinstance(value.type, ir.VectorType)
        return self.part_types(self.holding(value.type)) if is_tile else [value.type]

    def elementwise(self, operation: ir.Operation) -> None:
        """An arith or math op on tiles: the same op on each part. Equal operands give one op."""
        if not _is_elementwise(operation):
            raise fail(operation, f"has no lowering to {self.machine}")
        result = operation.results[0]
        self.tiles[result] = {holding: self._held(operation, holding) for holding in self.wants_of(result)}

    def _held(self, operation: ir.Operation, holding: H) -> T:
        """The result of an elementwise op, held in a way."""
        parts = self.part_types(holding)
        if operation.name == "arith.constant":
            return self.make_tile(holding, self._constants(operation, parts))
        operands = [self.tile(v, self.retyped(holding, v.type)).values for v in operation.operands]
        attributes = dict(operation.attributes.items())
        made: dict[tuple[ir.Value, ...], ir.Value] = {}
        results = []
        for part, key in zip(parts, zip(*operands, strict=True), strict=True):
            if key not in made:
                made[key] = ir.Operation.create(operation.name, [part], list(key), attributes).results[0]
            results.append(made[key])
        return self.make_tile(holding, results)

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


def _is_elementwise(operation: ir.Operation) -> bool:
    """Whether an op on tiles is one on each of their elements."""
    return operation.name.startswith(("arith.", "math.")) and len(operation.results) == 1
