"""What the fusion passes share: which ops may be fused, and the making of a `graph.fusion`."""

from __future__ import annotations

from collections.abc import Container, Sequence

from terrace.dialects.base import shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.graph.builders import users_of
from terrace.mlir import ir

_CAST = "builtin.unrealized_conversion_cast"


def is_fusible(operation: ir.Operation, shape: list[int]) -> bool:
    """Whether `operation` is elementwise with a result of `shape`, where one `?` counts as equal to another."""
    return operation.name in ELEMENTWISE_OPS and shape_of(operation.results[0]) == shape


def is_in(operation: ir.Operation, values: Container[ir.Value]) -> bool:
    """Whether `operation` computes what is in `values`, which hold all results of an op or none."""
    return len(operation.results) > 0 and operation.results[0] in values


def in_block(operation: ir.Operation, block: ir.Block) -> ir.Operation:
    """The op of `block` that `operation` is, or lies in."""
    while operation.block != block:
        operation = operation.parent.operation
    return operation


def fuse(operations: Sequence[ir.Operation]) -> ir.Operation:
    """Move `operations`, in program order, into a new `graph.fusion`, which gives what is used outside of it.

    It stands at the place of the last, or before the first use outside, where that is earlier: by then all that the ops
    read must be known.
    """
    place, block = operations[-1], operations[-1].block
    computed = [value for op in operations for value in op.results]
    inside, results = set(computed), []
    for value in computed:
        outside = [user for user in users_of(value) if not is_in(user, inside)]
        results += [value] if outside else []
        for user in (in_block(user, block) for user in outside):
            place = user if user.is_before_in_block(place) else place
    types = [value.type for value in results]
    location = ir.Location.fused([op.location for op in operations])
    with location, ir.InsertionPoint(place):
        is_tuple = len(set(types)) > 1
        given = [ir.TupleType.get_tuple(types)] if is_tuple else types
        fusion = ir.Operation.create("graph.fusion", results=given, regions=1)
        outer = ir.Operation.create(_CAST, types, fusion.results) if is_tuple else fusion
    for value, replacement in zip(results, outer.results, strict=True):
        for use in list(value.uses):
            if not is_in(use.owner.operation, inside):
                use.owner.operation.operands[use.operand_number] = replacement
    body = fusion.regions[0].blocks.append()
    for operation in operations:
        body.append(operation)
    with location, ir.InsertionPoint(body):
        inner = ir.Operation.create(_CAST, given, results).results if is_tuple else results
        ir.Operation.create("graph.yield", operands=inner)
    return fusion


def body_of(fusion: ir.Operation) -> tuple[list[ir.Operation], list[ir.Value]]:
    """The ops that a `graph.fusion` fuses, and those of their values that it gives."""
    *body, terminator = [view.operation for view in fusion.regions[0].blocks[0].operations]
    given = list(terminator.operands)
    if len(given) == 1 and isinstance(given[0].type, ir.TupleType):
        cast = given[0].owner.operation
        return [op for op in body if op != cast], list(cast.operands)
    return body, given


def replace_given(operation: ir.Operation, values: Sequence[ir.Value]) -> None:
    """Replace what a fusion or another op gives by `values`, and erase it."""
    results = list(operation.results)
    if len(results) == 1 and isinstance(results[0].type, ir.TupleType):
        for cast in users_of(results[0]):
            replace_given(cast, values)
    else:
        for result, value in zip(results, values, strict=True):
            result.replace_all_uses_with(value)
    operation.erase()
