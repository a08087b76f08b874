"""`quantize-graph`: linear layers, convolutions, sums, pools and layout of float32 become int8, by observed ranges.

The arithmetic is specified in `docs/quantization.md`. The scale of an activation comes from the attribute `graph.range`
of the op that gives it, which calibration sets; the scale of a weight is a constant expression over its parameter, so
that no pass reads elements. What has no rule stays in float32, between `graph.dequantize` and `graph.quantize`.
"""

from __future__ import annotations

import dataclasses

from terrace.errors import PipelineError
from terrace.lowering.graph.builders import erase_dead_ops
from terrace.lowering.quantization.clamp_tables import FoldClamps
from terrace.lowering.quantization.op_rules import quantize_function
from terrace.lowering.quantization.ranges import remove_ranges
from terrace.lowering.quantization.scales import FEWER_BITS, MULTIPLIER_BITS
from terrace.mlir import func, ir
from terrace.passes import Pass
from terrace.rewriting import apply_patterns


@dataclasses.dataclass(frozen=True)
class QuantizeGraph(Pass):
    """Rewrite float32 ops with observed ranges to int8; multipliers that scale sums have so many significant bits."""

    name = "quantize-graph"
    multiplier_bits: int = MULTIPLIER_BITS

    def __post_init__(self) -> None:
        if self.multiplier_bits != MULTIPLIER_BITS and self.multiplier_bits not in FEWER_BITS:
            raise PipelineError(
                f"pass '{self.name}': option 'multiplier_bits' must be {FEWER_BITS[0]} to {FEWER_BITS[-1]}, or"
                f" {MULTIPLIER_BITS}, got {self.multiplier_bits}"
            )

    def run(self, module: ir.Operation) -> None:
        for view in module.regions[0].blocks[0].operations:
            if isinstance(view, func.FuncOp) and not view.is_external:
                quantize_function(view, self.multiplier_bits)
                remove_ranges(view)
        apply_patterns(module, [FoldClamps()])
        erase_dead_ops(module)
