"""`loop.requantize_tile` as integer arithmetic on tiles, for machines without a way of their own."""

from __future__ import annotations

from terrace.lowering.graph.payload_quantized import requantized
from terrace.lowering.graph.payload_types import scalar_type
from terrace.mlir import func, ir, walk


def expand_requantize_tiles(function: func.FuncOp) -> None:
    """Replace each such op of a function."""
    for operation in [op for op in walk(function.operation) if op.name == "loop.requantize_tile"]:
        with ir.InsertionPoint(operation), operation.location:
            value, multiplier, shift = operation.operands
            result = requantized(value, multiplier, shift, scalar_type(operation.results[0].type))
        operation.results[0].replace_all_uses_with(result)
        operation.erase()
