"""Which results the printer writes where they are read, instead of giving them a name."""

from __future__ import annotations

from collections.abc import Iterator

from terrace.dialects.base import to_python
from terrace.mlir import ir

WRITES = ("func.call", "memref.copy", "memref.store", "scf.for", "scf.if")
"""Ops that may write memory."""


def is_read_once(operation: ir.Operation) -> bool:
    """Whether an op may be written in its reader; what C++ would write twice gets a name."""
    reader = _single_reader(operation)
    twice = reader is not None and reader.name == "arith.cmpf" and to_python(reader.attributes["predicate"]) in (6, 8)
    return reader is not None and not twice


def is_load_read_before_writes(load: ir.Operation) -> bool:
    """Whether the statement that a load ends up in comes before any write to memory."""
    statement: ir.Operation | None = load
    while statement is not None and statement.name not in WRITES:
        reader = _single_reader(statement) if len(statement.results) == 1 else None
        if reader is None or (statement != load and not is_read_once(statement)):
            break
        statement = reader
    if statement is None or statement == load:
        return False
    for operation in _between(load, statement):
        if operation.name in WRITES:
            return False
    return statement.name not in ("scf.for", "scf.if")


def _single_reader(operation: ir.Operation) -> ir.Operation | None:
    """The only op that reads an op's result, if it stands in the same block."""
    uses = list(operation.results[0].uses)
    if len(uses) != 1 or uses[0].owner.operation.block != operation.block:
        return None
    reader: ir.Operation = uses[0].owner.operation
    return reader


def _between(first: ir.Operation, last: ir.Operation) -> Iterator[ir.Operation]:
    inside = False
    for view in first.block.operations:
        if view.operation == last:
            return
        if inside:
            yield view.operation
        inside = inside or view.operation == first
