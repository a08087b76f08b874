"""What the fusion passes share: which ops may be fused, and the making of a `graph.fusion`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.base import element_type_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.mlir import ir


def is_fusible(operation: ir.Operation, shape: list[int]) -> bool:
    """Whether `operation` is elementwise with a result of `shape`, where one `?` counts as equal to another."""
    return operation.name in ELEMENTWISE_OPS and shape_of(operation.results[0]) == shape


def gives_booleans(operation: ir.Operation) -> bool:
    """Whether the result is a tensor of i1, which lives inside kernels but is not what one is made for."""
    type_ = element_type_of(operation.results[0])
    return isinstance(type_, ir.IntegerType) and type_.width == 1


def fuse(operations: Sequence[ir.Operation]) -> ir.Operation:
    """Move `operations`, in program order, into a new `graph.fusion` at the place of the last, whose result it gives.

    Only the last may be used from outside: then whatever the others read is defined before, too.
    """
    last = operations[-1]
    result = last.results[0]
    location = ir.Location.fused([op.location for op in operations])
    with location, ir.InsertionPoint(last):
        fusion = ir.Operation.create("graph.fusion", results=[result.type], regions=1)
    result.replace_all_uses_with(fusion.results[0])
    block = fusion.regions[0].blocks.append()
    for operation in operations:
        block.append(operation)
    with location, ir.InsertionPoint(block):
        ir.Operation.create("graph.yield", operands=[result])
    return fusion
