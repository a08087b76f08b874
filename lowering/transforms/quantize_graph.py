"""`quantize-graph`: linear layers, convolutions, sums, pools and layout of float32 become int8, by observed ranges.

The arithmetic is specified in `docs/quantization.md`. The scale of an activation comes from the attribute `graph.range`
of the op that gives it, which calibration sets; the scale of a weight is a constant expression over its parameter, so
that no pass reads elements. What has no rule stays in float32, between `graph.dequantize` and `graph.quantize`.
"""

from __future__ import annotations

import dataclasses

from terrace.lowering.graph.builders import erase_dead_ops
from terrace.lowering.quantization.clamp_tables import FoldClamps
from terrace.lowering.quantization.op_rules import quantize_function
from terrace.lowering.quantization.ranges import remove_ranges
from terrace.mlir import func, ir
from terrace.passes import Pass
from terrace.rewriting import apply_patterns


@dataclasses.dataclass(frozen=True)
class QuantizeGraph(Pass):
    """Rewrite float32 ops with observed ranges to int8."""

    name = "quantize-graph"

    def run(self, module: ir.Operation) -> None:
        for view in module.regions[0].blocks[0].operations:
            if isinstance(view, func.FuncOp) and not view.is_external:
                quantize_function(view)
                remove_ranges(view)
        apply_patterns(module, [FoldClamps()])
        erase_dead_ops(module)
