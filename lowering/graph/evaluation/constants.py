"""The constants of a module: the bodies of `graph.constant` run over the model's parameters."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from terrace.dialects.base import attributes_of
from terrace.errors import CompileError
from terrace.lowering.graph.evaluation.arrays import Array, dense_array, numpy_type, to_round
from terrace.lowering.graph.evaluation.rules import EVALUATION
from terrace.mlir import ir
from terrace.passes import fail
from terrace.storage.parameter_archive import aligned_copy

Lookup = Callable[[str], Array]


class Constants:
    """The `graph.constant`, `graph.part` and `graph.parameter` ops of a module, which it keeps alive.

    While the symbols of `order` are evaluated in that order, the body of each constant runs once: a value that a later
    one of them needs is kept until its last use, and no longer. Whoever goes back in that order starts anew.
    """

    def __init__(self, module: ir.Operation | ir.Module, order: Sequence[str] = ()) -> None:
        operations = (op.operation for op in module.operation.regions[0].blocks[0].operations)
        named = (op for op in operations if op.name in ("graph.constant", "graph.parameter", "graph.part"))
        self._module = module
        self._symbols = _Symbols({op.attributes["sym_name"].value: op for op in named})
        self._order = {symbol: number for number, symbol in enumerate(order)}
        self._last_use = self._symbols.last_uses(order)
        self._kept: tuple[int, dict[str, Array]] = (-1, {})
        self._turn = threading.Lock()

    def evaluate(self, symbol: str, lookup: Lookup) -> Array:
        """The value of the op named `symbol`, in its declared type: memory of the caller's own, aligned for IREE.

        `lookup` gives the elements of a parameter by its key, the same for all symbols; it is called once per load.
        Raises CompileError for a symbol or an op that is not known, and for parameters of a wrong shape.
        """
        now = self._order.get(symbol, -1)
        with self._turn:  # Another thread finds nothing meanwhile, and computes what it needs.
            (before, kept), self._kept = self._kept, (-1, {})
        held = {name: value for name, value in kept.items() if before < now <= self._last_use[name]}
        kept.clear()
        with np.errstate(all="ignore"):
            value = _Evaluation(self._symbols, lookup, held, self._last_use, now).run(symbol)
            dtype = numpy_type(self._symbols[symbol].attributes["type"].value)
            found = aligned_copy(to_round(value, dtype), dtype)
        with self._turn:
            self._kept = (now, held)
        return found


class _Symbols:
    """The symbols of constants by name, and what the body behind each loads."""

    def __init__(self, operations: Mapping[str, ir.Operation]) -> None:
        self._operations = operations
        self._loads: dict[str, list[str]] = {}
        self._given: dict[str, list[str]] = {}
        for name, operation in operations.items():
            self._given.setdefault(self.body_of(name), []).append(name)
            if operation.name == "graph.constant":
                body = (op.operation for op in operation.regions[0].blocks[0].operations)
                self._loads[name] = [op.attributes["symbol"].value for op in body if op.name == "graph.load"]

    def __getitem__(self, symbol: str) -> ir.Operation:
        if symbol not in self._operations:
            raise CompileError(f"a constant expression loads @{symbol}, which the module does not declare")
        return self._operations[symbol]

    def body_of(self, symbol: str) -> str:
        """The symbol of the op that computes `symbol`: itself, or the constant that it is a part of."""
        operation = self[symbol]
        return str(operation.attributes["constant"].value) if operation.name == "graph.part" else symbol

    def loads(self, body: str) -> list[str]:
        """What a body loads, as often as it does."""
        return self._loads.get(body, [])

    def given_by(self, body: str) -> list[str]:
        """The symbols of the values that a body gives; its own, which nothing loads, where these are parts."""
        return self._given[body]

    def last_uses(self, order: Sequence[str]) -> dict[str, int]:
        """The number of the last one in `order` that uses the value of a symbol, where bodies run once, when needed."""
        found: dict[str, int] = {}
        done: set[str] = set()
        for number, symbol in enumerate(order):
            pending = [symbol]
            while pending:
                name = pending.pop()
                found[name] = number
                if name in self._operations and self.body_of(name) not in done:
                    done.add(self.body_of(name))
                    pending.extend(self.loads(self.body_of(name)))
        return found


class _Evaluation:
    """One run over what a symbol is computed from.

    `held` has the values that are known, not rounded yet, so that constants made of constants are rounded once, too.
    """

    def __init__(
        self, symbols: _Symbols, lookup: Lookup, held: dict[str, Array], last_use: Mapping[str, int], now: int
    ) -> None:
        self._symbols, self._lookup = symbols, lookup
        self._held, self._last_use, self._now = held, last_use, now
        self._left: Counter[str] = Counter()
        self._counted: set[str] = set()

    def run(self, symbol: str) -> Array:
        self._count(symbol, ())
        return self._load(symbol)

    def _count(self, symbol: str, active: tuple[str, ...]) -> None:
        """Count how often each value will be loaded."""
        body = self._symbols.body_of(symbol)
        if body in active:
            raise CompileError(f"constant @{body} loads itself: {' -> '.join((*active, body))}")
        self._left[symbol] += 1
        if symbol not in self._held and body not in self._counted:
            self._counted.add(body)
            for loaded in self._symbols.loads(body):
                self._count(loaded, (*active, body))

    def _load(self, symbol: str) -> Array:
        operation = self._symbols[symbol]
        if operation.name == "graph.parameter":
            return _checked(operation, self._lookup(symbol))
        if symbol not in self._held:
            self._compute(self._symbols.body_of(symbol))
        self._left[symbol] -= 1
        return self._held[symbol] if self._is_needed(symbol) else self._held.pop(symbol)

    def _compute(self, body: str) -> None:
        """Hold those values of a constant that are needed."""
        values = _evaluate_body(self._symbols[body], self._load)
        for name in self._symbols.given_by(body):
            if self._is_needed(name):
                operation = self._symbols[name]
                number = operation.attributes["number"].value if operation.name == "graph.part" else 0
                self._held[name] = _checked(operation, values[number])

    def _is_needed(self, symbol: str) -> bool:
        return self._left[symbol] > 0 or self._last_use.get(symbol, -1) > self._now >= 0


def _checked(operation: ir.Operation, value: Array) -> Array:
    shape, name = tuple(ir.ShapedType(operation.attributes["type"].value).shape), operation.attributes["sym_name"].value
    if value.shape != shape:
        raise CompileError(f"@{name} has shape {value.shape}, but its declaration says {shape}")
    return value


def _evaluate_body(constant: ir.Operation, load: Lookup) -> list[Array]:
    """Run the ops in the body of `constant`, dropping each value after its last use; returns its values."""
    operations = [op.operation for op in constant.regions[0].blocks[0].operations]
    last_use = {value: op for op in operations for value in op.operands}
    values: dict[ir.Value, Any] = {}
    for op in operations:
        operands = [values[value] for value in op.operands]
        for value in set(op.operands):
            if last_use[value] == op:
                del values[value]
        if op.name == "graph.yield":
            return operands[0] if isinstance(op.operands[0].type, ir.TupleType) else operands
        if op.name == "graph.load":
            values[op.result] = load(op.attributes["symbol"].value)
        elif op.name == "builtin.unrealized_conversion_cast":
            values[op.result] = operands
        elif op.name == "arith.constant":
            values[op.result] = dense_array(op.attributes["value"])
        else:
            results = EVALUATION.of(op)(op, attributes_of(op), operands)
            values.update(zip(op.results, results, strict=True))
    raise fail(constant, "must end in graph.yield")
