"""The references of the graph dialect: for each op, the pattern that converts it to linalg."""

from __future__ import annotations

from collections.abc import Callable

from terrace.dialects.rules import RuleTable
from terrace.mlir import ir
from terrace.rewriting import Pattern

REFERENCES: RuleTable[Pattern] = RuleTable("conversion to linalg")


def reference_of(op_class: type[ir.OpView]) -> Callable[[type[Pattern]], type[Pattern]]:
    """Make the pattern that this decorates the reference of `op_class`, which is what it matches."""

    def register(pattern: type[Pattern]) -> type[Pattern]:
        pattern.op_name = op_class.OPERATION_NAME
        REFERENCES.add(op_class)(pattern())
        return pattern

    return register
