"""What the fusion passes share: which ops may be fused, and the making of a `graph.fusion`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.base import element_type_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.graph.builders import users_of
from terrace.mlir import ir


def is_fusible(operation: ir.Operation, shape: list[int]) -> bool:
    """Whether `operation` is elementwise with a result of `shape`, where one `?` counts as equal to another."""
    return operation.name in ELEMENTWISE_OPS and shape_of(operation.results[0]) == shape


def gives_booleans(operation: ir.Operation) -> bool:
    """Whether the result is a tensor of i1, which lives inside kernels but is not what one is made for."""
    type_ = element_type_of(operation.results[0])
    return isinstance(type_, ir.IntegerType) and type_.width == 1


def fuse(operations: Sequence[ir.Operation]) -> ir.Operation:
    """Move `operations`, in program order, into a new `graph.fusion` at the place of the last.

    It gives what is used outside of it. All such uses come after the last op, and whatever the ops read before it.
    """
    last = operations[-1]
    computed = [value for op in operations for value in op.results]
    results = [value for value in computed if any(user not in operations for user in users_of(value))]
    location = ir.Location.fused([op.location for op in operations])
    with location, ir.InsertionPoint(last):
        fusion = ir.Operation.create("graph.fusion", results=[value.type for value in results], regions=1)
    for value, given in zip(results, fusion.results, strict=True):
        for use in list(value.uses):
            if use.owner.operation not in operations:
                use.owner.operation.operands[use.operand_number] = given
    block = fusion.regions[0].blocks.append()
    for operation in operations:
        block.append(operation)
    with location, ir.InsertionPoint(block):
        ir.Operation.create("graph.yield", operands=results)
    return fusion
