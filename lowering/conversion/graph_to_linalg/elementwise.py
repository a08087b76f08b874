"""Elementwise graph ops as parallel linalg.generic over the scalar payload, broadcasting by index maps."""

from __future__ import annotations

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph import payload
from terrace.mlir import ir
from terrace.passes import fail
from terrace.rewriting import Pattern


class ConvertElementwise(Pattern):
    """Converts the elementwise op `op_name`; each has a subclass.

    A size of `?` in an operand is taken to equal the result's: only a size known to be 1 stretches.
    """

    def rewrite(self, op: ir.OpView) -> bool:
        operation = op.operation
        attrs = attributes_of(op)
        operands = list(operation.operands)
        result = operation.results[0]
        element_type = element_type_of(result)
        sizes = b.broadcast_sizes(operands, shape_of(result))

        def body(*scalars: ir.Value) -> ir.Value:
            try:
                return payload.emit(self.op_name, attrs, list(scalars), element_type)
            except payload.PayloadError as error:
                raise fail(op, str(error)) from error

        maps = [b.broadcast_map(operand, sizes) for operand in operands]
        return b.finish(op, b.elementwise(operands, maps, sizes, element_type, body))


for op_class in ELEMENTWISE_OPS.values():
    reference_of(op_class)(type(f"Convert{op_class.__name__}", (ConvertElementwise,), {}))
