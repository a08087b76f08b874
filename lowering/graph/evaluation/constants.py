"""The constants of a module: the bodies of `graph.constant` run over the model's parameters."""

from __future__ import annotations

from collections.abc import Callable
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
    """The `graph.constant`, `graph.part` and `graph.parameter` ops of a module, which it keeps alive."""

    def __init__(self, module: ir.Operation | ir.Module) -> None:
        operations = (op.operation for op in module.operation.regions[0].blocks[0].operations)
        named = (op for op in operations if op.name in ("graph.constant", "graph.parameter", "graph.part"))
        self._symbols = {op.attributes["sym_name"].value: op for op in named}
        self._module = module

    def evaluate(self, symbol: str, lookup: Lookup) -> Array:
        """The value of the op named `symbol`, in its declared type: memory of the caller's own, aligned for IREE.

        `lookup` gives the elements of a parameter by its key; it is called once per load, and no value is kept longer
        than its last use. Raises CompileError for a symbol or an op that is not known, and for parameters of a wrong
        shape.
        """
        with np.errstate(all="ignore"):
            value = _evaluate_symbol(self._symbols, symbol, lookup, ())
            dtype = numpy_type(self._symbols[symbol].attributes["type"].value)
            return aligned_copy(to_round(value, dtype), dtype)


def _evaluate_symbol(symbols: dict[str, ir.Operation], symbol: str, lookup: Lookup, active: tuple[str, ...]) -> Array:
    """The value of `symbol`, not rounded yet, so that constants made of constants are rounded once, too."""
    if symbol not in symbols:
        raise CompileError(f"a constant expression loads @{symbol}, which the module does not declare")
    if symbol in active:
        raise CompileError(f"constant @{symbol} loads itself: {' -> '.join((*active, symbol))}")
    operation, inside = symbols[symbol], (*active, symbol)
    if operation.name == "graph.parameter":
        value = lookup(symbol)
    else:
        constant, number = operation, 0
        if operation.name == "graph.part":
            constant, number = symbols[operation.attributes["constant"].value], operation.attributes["number"].value
        value = _evaluate_body(constant, lambda name: _evaluate_symbol(symbols, name, lookup, inside))[number]
    shape = tuple(ir.ShapedType(operation.attributes["type"].value).shape)
    if value.shape != shape:
        raise CompileError(f"@{symbol} has shape {value.shape}, but its declaration says {shape}")
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
