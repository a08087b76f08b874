"""From the torch dialect to the graph dialect: the torch ops that graph ops express; all others stay as they are.

The new ops work on builtin tensors, between `torch_c.to_builtin_tensor` and `torch_c.from_builtin_tensor` casts that
torch-mlir's own conversions of the rest use as well. PyTorch itself is not needed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.lowering.conversion.torch_to_graph import BUILDERS, TorchOp, TypeTable
from terrace.lowering.conversion.torch_to_graph.registered import rewrite_registered
from terrace.lowering.conversion.torch_to_graph.torch_op import Builder, to_torch
from terrace.lowering.conversion.torch_to_graph.unsigned import takes_unsigned
from terrace.mlir import ir, tensor
from terrace.passes import Pass
from terrace.rewriting import Pattern, apply_patterns, replace


class ConvertTorchOp(Pattern):
    """Replaces one torch op by what its builder makes."""

    def __init__(self, builder: Builder, types: TypeTable) -> None:
        self._builder = builder
        self._types = types

    def rewrite(self, op: ir.OpView) -> bool:
        operation = op.operation
        torch_op = TorchOp(operation, self._types)
        is_read_right = takes_unsigned(torch_op.name, operation.operands, operation.results)
        if torch_op.result_type is None or not is_read_right:
            return False
        value = self._builder(torch_op)
        if value is None:
            return False
        if value.type != torch_op.result_type:
            # A shape rule may know more, or less, than torch.export did.
            value = tensor.cast(torch_op.result_type, value)
        return replace(op, to_torch(value, operation.results[0].type))


class ConvertForeignOp(ConvertTorchOp):
    """Replaces an op that torch-mlir does not know, such as one of our own, by what the builder of its name makes."""

    op_name = "torch.operator"

    def __init__(self, types: TypeTable) -> None:
        super().__init__(lambda op: BUILDERS[op.name](op) if op.name in BUILDERS else None, types)

    def rewrite(self, op: ir.OpView) -> bool:
        return rewrite_registered(op.operation, self._types) or super().rewrite(op)


def patterns_for(types: TypeTable) -> Sequence[Pattern]:
    """One pattern for each torch op that has a builder, and one for all that torch-mlir does not know."""
    return [
        ConvertForeignOp(types),
        *(
            type(f"Convert {name}", (ConvertTorchOp,), {"op_name": name})(builder, types)
            for name, builder in BUILDERS.items()
        ),
    ]


@dataclasses.dataclass(frozen=True)
class ConvertTorchToGraph(Pass):
    """Convert the torch ops that graph ops express; leave the others."""

    name = "convert-torch-to-graph"

    def run(self, module: ir.Operation) -> None:
        apply_patterns(module, patterns_for(TypeTable(module)))
