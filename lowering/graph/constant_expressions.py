"""Which values are constant expressions: computed from parameters and constants only, by ops that can be evaluated."""

from __future__ import annotations

from terrace.lowering.graph.evaluation import EVALUATION
from terrace.lowering.graph.evaluation.arrays import has_known_type, is_known_constant
from terrace.mlir import ir, operation_of, walk


def is_constant_expression(value: ir.Value) -> bool:
    """Whether `value` derives from `graph.load` and `arith.constant` alone, by ops that the evaluator knows.

    Sizes are static in such an expression: a parameter has no `?`, and an op that reads one at run time is not known.
    """
    seen: set[ir.Operation] = set()
    pending = [value]
    while pending:
        operation = operation_of(pending.pop())
        if operation is None:
            return False
        if operation in seen:
            continue
        seen.add(operation)
        if not _may_be_constant(operation):
            return False
        pending.extend(operation.operands)
    return True


def constant_values(root: ir.Operation) -> set[ir.Value]:
    """All constant expressions in `root`; one walk, where many values are to be asked about.

    Values and not operations, as the bindings hash an operation by its operands, which rewriting changes.
    """
    found: set[ir.Value] = set()
    for operation in walk(root):
        if _may_be_constant(operation) and all(value in found for value in operation.operands):
            found.update(operation.results)
    return found


def is_leaf(operation: ir.Operation) -> bool:
    """Whether `operation` is where a constant expression starts: a load, or a constant."""
    return operation.name in ("graph.load", "arith.constant")


def _may_be_constant(operation: ir.Operation) -> bool:
    if operation.name == "arith.constant":
        return is_known_constant(operation)
    if operation.name != "graph.load" and operation not in EVALUATION:
        return False
    return all(has_known_type(value) for value in operation.results)
