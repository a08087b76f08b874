"""Pattern rewriting in Python: a pattern matches one op type, and the driver applies patterns until none matches."""

from __future__ import annotations

import abc
import collections
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import ClassVar

from terrace.mlir import address_of, ir, next_in_block, operation_of, walk

MAX_REWRITES = 64
"""Rewrites for each op that there was at first, beyond which patterns are taken to undo each other."""


class Pattern(abc.ABC):
    """Rewrites one op type. Subclasses set `op_name` and return early from `rewrite` when a guard fails."""

    op_name: ClassVar[str] = ""

    @abc.abstractmethod
    def rewrite(self, op: ir.OpView) -> bool:
        """Try to rewrite `op` (an OpView of its class); True if the IR changed.

        The insertion point is before `op`: new ops come there, and take its location. It may erase `op`, with what is
        nested in it, and nothing else: what thereby loses its last use is dead code, which `canonicalize` removes.
        """


def replace(op: ir.OpView, *values: ir.Value) -> bool:
    """Replace all results of `op` by `values` and erase it. Returns True, to end `Pattern.rewrite` with."""
    operation = op.operation
    for result, value in zip(operation.results, values, strict=True):
        result.replace_all_uses_with(value)
    operation.erase()
    return True


def apply_patterns(root: ir.Operation, patterns: Sequence[Pattern]) -> bool:
    """Apply `patterns` to all ops in `root` until none matches. True if any changed it.

    Ops are tried in program order, and again after a rewrite next to them: the new ops, the ops that defined what the
    old one used (and the only user that one of those is left with), and the users of its results. The patterns for an
    op are tried from the first. Raises RuntimeError when patterns undo each other and no end is reached.
    """
    by_name: dict[str, list[Pattern]] = {}
    for pattern in patterns:
        by_name.setdefault(pattern.op_name, []).append(pattern)
    operations = list(walk(root))
    pending = _Worklist(by_name)
    pending.push(operations)
    rewrites = 0
    while (operation := pending.pop()) is not None:
        rewrites += _rewrite(operation, by_name[operation.name], pending)
        if rewrites > MAX_REWRITES * (1 + len(operations)):
            names = [type(pattern).__name__ for pattern in patterns]
            raise RuntimeError(f"patterns {names} did not settle after {rewrites} rewrites of {len(operations)} ops")
    return rewrites > 0


class _Worklist:
    """Ops that a pattern may match, each in it once, first in, first out."""

    def __init__(self, names: Container[str]) -> None:
        self._names = names
        # By address, as one op has many objects, and its erasure makes only one of them invalid.
        self._pending: collections.OrderedDict[int, ir.Operation] = collections.OrderedDict()

    def push(self, operations: Iterable[ir.Operation]) -> None:
        for operation in operations:
            if operation.name in self._names:
                self._pending.setdefault(address_of(operation), operation)

    def pop(self) -> ir.Operation | None:
        return self._pending.popitem(last=False)[1] if self._pending else None

    def drop(self, addresses: Iterable[int]) -> None:
        for address in addresses:
            self._pending.pop(address, None)


def _rewrite(operation: ir.Operation, patterns: Sequence[Pattern], pending: _Worklist) -> bool:
    """Apply the first of `patterns` that matches, and push what it may have made others match."""
    definers = [definer for definer in map(operation_of, operation.operands) if definer is not None]
    users = [use.owner.operation for result in operation.results for use in result.uses]
    inside = {address_of(op) for op in walk(operation)}
    following = next_in_block(operation)
    with operation.location, ir.InsertionPoint(operation):
        # New ops come between this one, which is not part of the program, and the next.
        mark = ir.Operation.create("builtin.unrealized_conversion_cast")
        try:
            changed = any(pattern.rewrite(operation.opview) for pattern in patterns)
            new = list(_between(mark, following)) if changed else []
        finally:
            mark.erase()
    if changed:
        pending.drop(inside - {address_of(op) for op in new})
        pending.push([*definers, *(user for definer in definers for user in _only_user(definer)), *new, *users])
    return changed


def _between(mark: ir.Operation, end: ir.Operation | None) -> Iterator[ir.Operation]:
    """All ops after `mark` and before `end`, with those nested in them."""
    operation = next_in_block(mark)
    while operation is not None and operation != end:
        yield from walk(operation)
        yield operation
        operation = next_in_block(operation)


def _only_user(operation: ir.Operation) -> list[ir.Operation]:
    users = (use.owner.operation for result in operation.results for use in result.uses)
    first = next(users, None)
    return [first] if first is not None and all(user == first for user in users) else []
