"""Tables of rules about ops: what one purpose (a reference, constant evaluation, a count) knows of each op class.

Whoever adds an op adds its rules. `test/unit/test_rules.py` names every op of the graph dialect that a table has no
rule for, with the reason, so that none is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from terrace.mlir import ir
from terrace.passes import fail

Rule = TypeVar("Rule")


class RuleTable(Generic[Rule]):
    """A rule for each op class that has one. `purpose` completes "'graph.x' op has no rule for ..."."""

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self._rules: dict[str, Rule] = {}

    def add(self, *op_classes: type[ir.OpView]) -> Callable[[Rule], Rule]:
        """Make what this decorates the rule of `op_classes`. Raises ValueError for a class that has one already."""

        def register(rule: Rule) -> Rule:
            for name in (op_class.OPERATION_NAME for op_class in op_classes):
                if name in self._rules:
                    raise ValueError(f"'{name}' has a rule for {self._purpose} already")
                self._rules[name] = rule
            return rule

        return register

    def get(self, operation: ir.Operation) -> Rule | None:
        """The rule of an op, or None if it has none."""
        return self._rules.get(operation.name)

    def of(self, operation: ir.Operation) -> Rule:
        """The rule of an op. Raises PassError, at the op, if it has none."""
        if operation not in self:
            raise fail(operation, f"has no rule for {self._purpose}")
        return self._rules[operation.name]

    def __contains__(self, operation: ir.Operation) -> bool:
        return operation.name in self._rules

    def __iter__(self) -> Iterator[Rule]:
        """The rules, in the order in which they were added."""
        return iter(self._rules.values())

    @property
    def op_names(self) -> frozenset[str]:
        """The names of the ops that have a rule."""
        return frozenset(self._rules)
