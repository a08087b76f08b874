"""Pattern rewriting in Python: a pattern matches one op type, and the driver applies patterns until none matches."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import ClassVar

from terrace.mlir import ir, walk

MAX_ROUNDS = 64


class Pattern(abc.ABC):
    """Rewrites one op type. Subclasses set `op_name` and return early from `rewrite` when a guard fails."""

    op_name: ClassVar[str] = ""

    @abc.abstractmethod
    def rewrite(self, op: ir.OpView) -> bool:
        """Try to rewrite `op` (an OpView of its class); True if the IR changed.

        The insertion point is before `op`, and new ops take its location. It may erase `op` and nothing else: what
        thereby loses its last use is dead code, which `canonicalize` removes.
        """


def replace(op: ir.OpView, *values: ir.Value) -> bool:
    """Replace all results of `op` by `values` and erase it. Returns True, to end `Pattern.rewrite` with."""
    operation = op.operation
    for result, value in zip(operation.results, values, strict=True):
        result.replace_all_uses_with(value)
    operation.erase()
    return True


def apply_patterns(root: ir.Operation, patterns: Sequence[Pattern]) -> bool:
    """Apply `patterns` to all ops in `root`, in order, until a whole round changes nothing. True if any changed it.

    Raises RuntimeError when patterns undo each other and no end is reached.
    """
    by_name: dict[str, list[Pattern]] = {}
    for pattern in patterns:
        by_name.setdefault(pattern.op_name, []).append(pattern)
    for round_ in range(MAX_ROUNDS):
        if not _apply_once(root, by_name):
            return round_ > 0
    raise RuntimeError(f"patterns {[type(p).__name__ for p in patterns]} did not settle in {MAX_ROUNDS} rounds")


def _apply_once(root: ir.Operation, by_name: dict[str, list[Pattern]]) -> bool:
    changed = False
    for operation in [op for op in walk(root) if op.name in by_name]:
        for pattern in by_name[operation.name]:
            with operation.location, ir.InsertionPoint(operation):
                if pattern.rewrite(operation.opview):
                    changed = True
                    break
    return changed
