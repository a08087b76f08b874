"""convert-graph-to-linalg: the reference of every graph op, and what IREE runs where no generator of ours applies."""

from __future__ import annotations

import dataclasses

from terrace.lowering.conversion.graph_to_linalg import (
    contraction,
    convolution,
    elementwise,
    encodings,
    fourier,
    integer_rows,
    layout,
    normalization,
    ordering,
    pooling,
    random,
)
from terrace.lowering.conversion.graph_to_linalg import reduce_and_embedding as reduction
from terrace.mlir import ir
from terrace.passes import Pass
from terrace.rewriting import Pattern, apply_patterns, replace

KEPT_OPS = frozenset(
    f"graph.{name}" for name in ("constant", "load", "load_state", "parameter", "state", "store_state", "yield")
)
"""Graph ops without a conversion: what outlives a call becomes IREE globals later, and `yield` goes with its parent."""


class InlineFusion(Pattern):
    """Moves the body of a fusion in its place; its ops are converted one by one."""

    op_name = "graph.fusion"

    def rewrite(self, op: ir.OpView) -> bool:
        operation = op.operation
        *body, terminator = operation.regions[0].blocks[0].operations
        for inner in body:
            inner.operation.move_before(operation)
        values = list(terminator.operation.operands)
        terminator.operation.erase()
        return replace(op, *values)


def patterns() -> list[Pattern]:
    """A pattern for every graph op but those of `KEPT_OPS`."""
    families = (
        *(
            contraction,
            convolution,
            elementwise,
            encodings,
            fourier,
            integer_rows,
            layout,
            normalization,
            ordering,
            pooling,
        ),
        *(random, reduction),
    )
    return [InlineFusion(), *(pattern for family in families for pattern in family.patterns())]


@dataclasses.dataclass(frozen=True)
class ConvertGraphToLinalg(Pass):
    """Convert all compute ops of the graph dialect to linalg, tensor, arith and math ops."""

    name = "convert-graph-to-linalg"

    constants: bool = False
    """Convert the bodies of `graph.constant`, too; else they stay graph ops for whoever evaluates them."""

    def run(self, module: ir.Operation) -> None:
        all_patterns = patterns()
        for operation in list(module.regions[0].blocks[0].operations):
            if self.constants or operation.operation.name != "graph.constant":
                apply_patterns(operation.operation, all_patterns)
