"""`observe-ranges`: a function gives the largest magnitudes of its values instead of its results, for calibration.

One f32 scalar for each of `observed_values`, in their order. A tensor without elements gives -inf, NaN gives NaN.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import shape_of
from terrace.dialects.graph import AbsOp, ReduceOp
from terrace.lowering.graph.builders import erase_dead_ops
from terrace.lowering.quantization.observed import observed_values
from terrace.mlir import func, ir
from terrace.passes import Pass, fail


def _observe(function: func.FuncOp) -> None:
    values = observed_values(function)
    if not values:
        raise fail(function, f"@{function.name.value} has no float32 value to observe")
    end = function.entry_block.operations[-1].operation
    with ir.InsertionPoint(end), end.location:
        results = [
            ReduceOp.build(AbsOp.build(value), kind="max", axes=list(range(len(shape_of(value)))), keepdims=False)
            for value in values
        ]
        func.ReturnOp(results)
    end.erase()
    inputs = [argument.type for argument in function.entry_block.arguments]
    type_ = ir.FunctionType.get(inputs, [result.type for result in results])
    function.attributes["function_type"] = ir.TypeAttr.get(type_)
    if "res_attrs" in function.attributes:
        del function.attributes["res_attrs"]


@dataclasses.dataclass(frozen=True)
class ObserveRanges(Pass):
    """Let every function return the largest magnitude of each value that int8 needs a scale for."""

    name = "observe-ranges"

    def run(self, module: ir.Operation) -> None:
        for view in module.regions[0].blocks[0].operations:
            if isinstance(view, func.FuncOp) and not view.is_external:
                _observe(view)
        erase_dead_ops(module)
