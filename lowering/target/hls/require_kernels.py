"""`require-kernels`: what no generator took is refused, for targets on which nothing else runs it."""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import to_python
from terrace.errors import PassError
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL, require_body
from terrace.lowering.conversion.convert_graph_to_kernel import WHY
from terrace.mlir import func, ir
from terrace.passes import Pass, fail

LEFT = ("arith.constant", "func.call", "func.return", "graph.load", "graph.reshape")
"""The ops beside kernels that need no work."""


PREPARING = ("linalg.fill", "tensor.dim", "tensor.empty")
"""Ops that come with others, which say more."""


def _refusal(operation: ir.Operation) -> PassError:
    known = WHY in operation.attributes
    why = to_python(operation.attributes[WHY]) if known else f"no generator for {operation.name}"
    return fail(operation, f"runs in no kernel ({why}), and this target has nothing else to run it")


@dataclasses.dataclass(frozen=True)
class RequireKernels(Pass):
    """Refuse ops outside kernels that would need code of their own, saying why they are in no kernel."""

    name = "require-kernels"

    def run(self, module: ir.Operation) -> None:
        for view in module.regions[0].blocks[0].operations:
            if view.operation.name in ("graph.state", "graph.store_state"):
                raise fail(view, "is a mutable buffer, which hardware does not keep; compile a stateless model")
            if not isinstance(view, func.FuncOp) or LOOP_KERNEL in view.attributes:
                continue
            require_body(view)
            for child in view.entry_block.operations:
                if child.operation.name.startswith("scf."):
                    raise fail(child, "is control flow, which this target does not run; choose by torch.where instead")
            others = [child.operation for child in view.entry_block.operations if child.operation.name not in LEFT]
            if others:
                computing = [operation for operation in others if operation.name not in PREPARING]
                raise _refusal((computing or others)[0])
