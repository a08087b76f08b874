"""Takes what is computed from parameters alone out of the program: it is evaluated once, into the artefact's archive.

Every maximal expression of pure ops over `graph.load` and `arith.constant` becomes a `graph.constant` symbol, and the
function loads that. Equal expressions share one symbol. Expressions over constants alone stay: they are small, and an
archive entry would gain nothing. With `all-constants` they go, too, for targets on which nothing else computes them.
Tables that are computed of nothing (`graph.roots_of_unity`) always go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable

from terrace.lowering.graph.builders import erase_dead_ops, users_of
from terrace.lowering.graph.constant_expressions import constant_values, is_leaf
from terrace.mlir import ir, operation_of, walk
from terrace.passes import Pass

COMPUTED = ("graph.roots_of_unity",)
"""Ops without operands whose result is a table, which no call should compute."""


def slice_of(root: ir.Operation) -> list[ir.Operation]:
    """The ops that compute `root`, itself last, in an order in which operands come first."""
    ordered: dict[ir.Operation, None] = {}

    def visit(operation: ir.Operation) -> None:
        if operation in ordered:
            return
        for value in operation.operands:
            producer = operation_of(value)
            assert producer is not None, "a constant expression has no block arguments"
            visit(producer)
        ordered[operation] = None

    visit(root)
    return list(ordered)


def structure_of(operations: list[ir.Operation], given: list[ir.Value]) -> Hashable:
    """What `operations` (as from `slice_of`) give, as a key: equal for equal expressions over equal symbols."""
    number = {value: (i, n) for i, op in enumerate(operations) for n, value in enumerate(op.results)}
    body = tuple(
        (
            op.name,
            tuple(number[value] for value in op.operands),
            tuple(sorted((name, str(value)) for name, value in op.attributes.items())),
            tuple(str(value.type) for value in op.results),
        )
        for op in operations
    )
    return body, tuple(number[value] for value in given)


def is_maximal(operation: ir.Operation, constant: set[ir.Value]) -> bool:
    """Whether `operation` is a constant expression that something else than such an expression uses."""
    if not is_constant(operation, constant):
        return False
    return any(not is_constant(user, constant) for value in operation.results for user in users_of(value))


def is_constant(operation: ir.Operation, constant: set[ir.Value]) -> bool:
    return len(operation.results) > 0 and all(value in constant for value in operation.results)


class Hoister:
    """Makes the `graph.constant` symbols of one module."""

    def __init__(self, module: ir.Operation, all_constants: bool) -> None:
        self._all_constants = all_constants
        self._body = module.regions[0].blocks[0]
        self._names = {
            op.operation.attributes["sym_name"].value
            for op in self._body.operations
            if "sym_name" in op.operation.attributes
        }
        self._symbols: dict[Hashable, list[str]] = {}

    def hoist(self, root: ir.Operation) -> None:
        """Replace the results of `root` by loads of a constant that computes them."""
        operations = slice_of(root)
        loads = [op for op in operations if op.name == "graph.load"]
        is_computed = any(op.name in COMPUTED for op in operations)
        if not (loads or is_computed or self._all_constants):
            return
        used = [value for value in root.results if users_of(value)]
        key = structure_of(operations, used)
        if key not in self._symbols:
            parameter = loads[0].attributes["symbol"].value if loads else "constant"
            name = self._fresh_name(f"{parameter}.{root.name.removeprefix('graph.')}")
            self._symbols[key] = self._create(name, operations, used)
        for value, symbol in zip(used, self._symbols[key], strict=True):
            attributes = {"symbol": ir.FlatSymbolRefAttr.get(symbol)}
            with root.location, ir.InsertionPoint(root):
                load = ir.Operation.create("graph.load", results=[value.type], attributes=attributes)
            value.replace_all_uses_with(load.result)
        root.erase()

    def _create(self, name: str, operations: list[ir.Operation], given: list[ir.Value]) -> list[str]:
        """A `graph.constant` called `name` with copies of `operations`, after the symbols that they load.

        Returns the symbol of each value in `given`, all of them results of the last op.
        """
        types = [value.type for value in given]
        first_function = next(op for op in self._body.operations if op.operation.name == "func.func")
        with operations[-1].location, ir.InsertionPoint(first_function):
            type_ = types[0] if len(types) == 1 else ir.TupleType.get_tuple(types)
            attributes = {"sym_name": ir.StringAttr.get(name), "type": ir.TypeAttr.get(type_)}
            constant = ir.Operation.create("graph.constant", attributes=attributes, regions=1)
            symbols = [name] if len(types) == 1 else [self._part(name, number, t) for number, t in enumerate(types)]
        copies: dict[ir.Value, ir.Value] = {}
        with ir.InsertionPoint(constant.regions[0].blocks.append()):
            for op in operations:
                copy = op.clone()
                for i, value in enumerate(op.operands):
                    copy.operands[i] = copies[value]
                copies.update(zip(op.results, copy.results, strict=True))
            with operations[-1].location:
                values = [copies[value] for value in given]
                if len(types) > 1:
                    values = [ir.Operation.create("builtin.unrealized_conversion_cast", [type_], values).result]
                ir.Operation.create("graph.yield", operands=values)
        return symbols

    def _part(self, constant: str, number: int, type_: ir.Type) -> str:
        """The symbol of one of the values of a constant."""
        name = self._fresh_name(f"{constant}.{number}")
        attributes = {
            "sym_name": ir.StringAttr.get(name),
            "type": ir.TypeAttr.get(type_),
            "constant": ir.FlatSymbolRefAttr.get(constant),
            "number": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), number),
        }
        ir.Operation.create("graph.part", attributes=attributes)
        return name

    def _fresh_name(self, stem: str) -> str:
        name, count = stem, 0
        while name in self._names:
            count += 1
            name = f"{stem}_{count}"
        self._names.add(name)
        return name


@dataclasses.dataclass(frozen=True)
class HoistConstants(Pass):
    """Turn expressions over parameters into module-level constants, evaluated when the artefact is written."""

    name = "hoist-constants"
    all_constants: bool = False

    def run(self, module: ir.Operation) -> None:
        functions = [op.operation for op in module.regions[0].blocks[0].operations]
        hoister = Hoister(module, self.all_constants)
        for function in [op for op in functions if op.name == "func.func"]:
            constant = constant_values(function)
            # In program order: an expression inside a later one has become a load by then.
            for op in list(walk(function)):
                if is_maximal(op, constant) and not is_leaf(op):
                    hoister.hoist(op)
        erase_dead_ops(module)
