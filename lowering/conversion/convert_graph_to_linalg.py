"""convert-graph-to-linalg: the reference of every graph op, and what IREE runs where no generator of ours applies."""

from __future__ import annotations

import dataclasses

from terrace.dialects import graph
from terrace.lowering.conversion.graph_to_linalg import REFERENCES, reference_of
from terrace.mlir import ir, operation_of
from terrace.passes import Pass
from terrace.rewriting import Pattern, apply_patterns, replace


@reference_of(graph.FusionOp)
class InlineFusion(Pattern):
    """Moves the body of a fusion in its place; its ops are converted one by one."""

    def rewrite(self, op: ir.OpView) -> bool:
        operation = op.operation
        *body, terminator = operation.regions[0].blocks[0].operations
        for inner in body:
            inner.operation.move_before(operation)
        values = list(terminator.operation.operands)
        terminator.operation.erase()
        return replace(op, *values)


class ResolveTuple(Pattern):
    """Takes away the tuple by which an inlined fusion gave values of several types."""

    op_name = "builtin.unrealized_conversion_cast"

    def rewrite(self, op: ir.OpView) -> bool:
        results = list(op.operation.results)
        if len(results) == 1 and isinstance(results[0].type, ir.TupleType) and not list(results[0].uses):
            op.operation.erase()
            return True
        made = operation_of(op.operation.operands[0]) if len(op.operation.operands) == 1 else None
        if made is None or made.name != self.op_name or not isinstance(made.results[0].type, ir.TupleType):
            return False
        return replace(op, *made.operands)


@dataclasses.dataclass(frozen=True)
class ConvertGraphToLinalg(Pass):
    """Convert all compute ops of the graph dialect to linalg, tensor, arith and math ops."""

    name = "convert-graph-to-linalg"

    constants: bool = False
    """Convert the bodies of `graph.constant`, too; else they stay graph ops for whoever evaluates them."""

    def run(self, module: ir.Operation) -> None:
        patterns = [*REFERENCES, ResolveTuple()]
        for operation in list(module.regions[0].blocks[0].operations):
            if self.constants or operation.operation.name != "graph.constant":
                apply_patterns(operation.operation, patterns)
