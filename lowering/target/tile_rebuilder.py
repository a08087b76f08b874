"""Rebuilding loop functions without tiles: what the targets that lower tiles share.

A target says how a tile is held and lowers the tile ops. What multiplies wants its operands held in ways of its own;
that goes backwards through elementwise ops to the loads and constants, which are made once for each way that their uses
want. Any other tile is converted where it is made, so that no loop converts what it only reads. What is not a tile is
copied unchanged. Each function is rebuilt beside the old one, which is then erased.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from terrace.dialects.base import shape_of
from terrace.mlir import func, ir, scf, walk
from terrace.passes import fail

T = TypeVar("T")
"""A tile as a target holds it."""

H = TypeVar("H")
"""How a tile is held: its shape, its element type, and whatever else makes two tiles alike."""


class TileRebuilder(abc.ABC, Generic[T, H]):
    """Rebuilds one function; `values` maps each old value to its new one, `tiles` to its tile for each way in which it
    is held.
    """

    machine = ""
    """What tiles are lowered to, for messages."""

    def __init__(self) -> None:
        self.values: dict[ir.Value, ir.Value] = {}
        self.tiles: dict[ir.Value, dict[H, T]] = {}
        self.wants: dict[ir.Value, list[H]] = {}
        self.handlers: dict[str, Callable[[ir.Operation], None]] = {
            "scf.for": self.for_,
            "scf.if": self.if_,
            "scf.yield": self.yield_,
        }

    @abc.abstractmethod
    def holding(self, type_: ir.Type) -> H:
        """How a tile is held where nothing wants it otherwise."""

    @abc.abstractmethod
    def convert(self, tile: T, holding: H) -> T:
        """The tile held in another way, at the current insertion point."""

    @abc.abstractmethod
    def elementwise(self, operation: ir.Operation) -> None:
        """Lower an arith or math op on tiles, a constant tile, or vector.broadcast of a number."""

    # -- what blocks give: a loop's body to its next iteration, a branch to what follows ------------------------------

    @abc.abstractmethod
    def carried(self, values: Sequence[ir.Value], results: Sequence[ir.Value]) -> list[ir.Value]:
        """What a loop is given at first for these old values, which become those results."""

    @abc.abstractmethod
    def carried_types(self, values: Sequence[ir.Value]) -> list[ir.Type]:
        """The types of what a condition gives for these old values."""

    @abc.abstractmethod
    def give(self, values: Sequence[ir.Value], results: Sequence[ir.Value]) -> list[ir.Value]:
        """What a block gives at its end for these old values, which become those results of the op around it."""

    @abc.abstractmethod
    def take(self, old: Sequence[ir.Value], new: Sequence[ir.Value]) -> None:
        """Record what old arguments of a block, or results, are; `new` are the new ones."""

    def wanted(self, operation: ir.Operation, number: int) -> H | None:
        """How an op wants operand `number` held; None for the usual way."""
        return None

    def held(self, value: ir.Value) -> H:
        """How a tile is held that a loop carries or a condition gives."""
        return self.holding(value.type)

    # -- how tiles are held ---------------------------------------------------------------------------------------

    def find_wants(self, function: func.FuncOp) -> None:
        """For each tile, the ways of holding it that its uses want; uses come before what they use."""
        for operation in reversed(list(walk(function.operation))):
            elementwise = is_elementwise(operation)
            for number, operand in enumerate(operation.operands):
                if not is_tile(operand):
                    continue
                if elementwise:
                    here = [self.retyped(wanted, operand.type) for wanted in self.wants_of(operation.results[0])]
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
        return self.tiles[value][self.holding(value.type) if holding is None else holding]

    def set_tile(self, value: ir.Value, tile: T, made: H | None = None) -> None:
        """A tile that is made in that way only, or in the usual one; here it is converted to others that are wanted."""
        made = self.holding(value.type) if made is None else made
        wants = self.wants_of(value)
        self.tiles[value] = {made: tile} | {h: self.convert(tile, h) for h in wants if h != made}

    # -- ops ------------------------------------------------------------------------------------------------------

    def function(self, function: func.FuncOp) -> Any:
        """Rebuild `function` (a func.func) without tiles, and erase it; the new one keeps its attributes."""
        if any(map(is_tile, function.entry_block.arguments)):
            raise fail(function, "takes a tile; a kernel takes tensors, memory and numbers")
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
        handler = self.handlers.get(operation.name)
        arguments = [value for region in operation.regions for block in region.blocks for value in block.arguments]
        tiles = [value for value in [*operation.results, *operation.operands, *arguments] if is_tile(value)]
        if any(ir.VectorType(tile.type).scalable for tile in tiles):
            raise fail(operation, "has a tile of scalable size; tiles have static sizes")
        if handler is not None:
            handler(operation)
        elif tiles and is_elementwise(operation):
            self.elementwise(operation)
        elif tiles or operation.successors:
            raise fail(operation, f"has no lowering to {self.machine}")
        else:
            self.copy(operation)

    def copy(self, operation: ir.Operation) -> None:
        """The same op on mapped operands, its regions rebuilt."""
        new = ir.Operation.create(
            operation.name,
            results=[r.type for r in operation.results],
            operands=[self.plain(v) for v in operation.operands],
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
        old = operation.opview
        lower, upper, step = (self.plain(v) for v in list(operation.operands)[:3])
        new = scf.ForOp(lower, upper, step, self.carried(list(operation.operands)[3:], list(operation.results)))
        for name, attribute in operation.attributes.items():
            new.operation.attributes[name] = attribute
        index, *arguments = list(old.body.arguments)
        self.values[index] = new.induction_variable
        with ir.InsertionPoint(new.body):
            self.take(arguments, list(new.inner_iter_args))
            self.block(old.body)
        self.take(list(operation.results), list(new.results))

    def if_(self, operation: ir.Operation) -> None:
        results, attributes = list(operation.results), dict(operation.attributes.items())
        types = self.carried_types(results)
        new = ir.Operation.create(operation.name, types, [self.plain(operation.operands[0])], attributes, regions=2)
        for old_region, new_region in zip(operation.regions, new.regions, strict=True):
            self.region(old_region, new_region)
        self.take(results, list(new.results))

    def yield_(self, operation: ir.Operation) -> None:
        parent = operation.parent.operation
        if parent.name in ("scf.for", "scf.if"):
            scf.YieldOp(self.give(list(operation.operands), list(parent.results)))
        else:
            self.copy(operation)

    def refuse_atom(self, operation: ir.Operation) -> None:
        """Refuse a contraction by an atom, for a machine that has none."""
        if "atom" in operation.attributes:
            name = operation.attributes["atom"].value
            raise fail(operation, f"wants the atom '{name}', which {self.machine} do not have")


def shape_of_tile(type_: ir.Type) -> tuple[int, ...]:
    """The shape of a tile's type; one without dimensions is one element along one."""
    return tuple(shape_of(type_)) or (1,)


def is_tile(value: ir.Value) -> bool:
    """Whether a value of a loop function is a tile."""
    return isinstance(value.type, ir.VectorType)


def splat_of(operation: ir.Operation) -> ir.Attribute:
    """The number that a constant tile is everywhere."""
    value = operation.attributes["value"]
    if not isinstance(value, ir.DenseElementsAttr) or not value.is_splat:
        raise fail(operation, "is not a splat; a constant tile must be one")
    return value.get_splat_value()


def is_elementwise(operation: ir.Operation) -> bool:
    """Whether an op on tiles is one on each of their elements, or repeats a number."""
    if operation.name == "vector.broadcast":
        return not is_tile(operation.operands[0])
    return operation.name.startswith(("arith.", "math.")) and len(operation.results) == 1
