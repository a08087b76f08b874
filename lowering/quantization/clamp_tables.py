"""Clamps between integers become tables: quantize(minimum(maximum(dequantize(x)))) by numbers is a look-up.

The table holds the integers that these ops give, computed in float32 as they do. Maxima and minima round nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from terrace.dialects.base import element_type_of, shape_of
from terrace.dialects.graph import LookupOp
from terrace.lowering.graph.builders import splat_value
from terrace.mlir import ir, operation_of
from terrace.rewriting import Pattern, replace

_CLAMPS: dict[str, Callable[[np.ndarray, np.float32], np.ndarray]] = {
    "graph.maximum": np.maximum,
    "graph.minimum": np.minimum,
}


class FoldClamps(Pattern):
    """The clamps between a dequantisation and a quantisation, whose scales are numbers, become a table."""

    op_name = "graph.quantize"

    def rewrite(self, op: ir.OpView) -> bool:
        value, scale = op.operation.operands
        clamps: list[tuple[str, float]] = []
        while (clamp := operation_of(value)) is not None and clamp.name in _CLAMPS:
            left, right = clamp.operands
            bound = splat_value(right)
            if bound is None:
                left, bound = right, splat_value(left)
            if bound is None or shape_of(left) != shape_of(value):
                return False
            clamps.append((clamp.name, bound))
            value = left
        source = operation_of(value)
        if not clamps or source is None or source.name != "graph.dequantize":
            return False
        scales = splat_value(source.operands[1]), splat_value(scale)
        i8 = ir.IntegerType.get_signless(8)
        if None in scales or any(element_type_of(v) != i8 for v in (source.operands[0], op.result)):
            return False
        before, after = np.array(scales, np.float32)
        numbers = np.arange(-128, 128, dtype=np.float32) * before
        for name, bound in reversed(clamps):
            numbers = _CLAMPS[name](numbers, np.float32(bound))
        integers = np.clip(np.rint(numbers / after), -128, 127)
        if np.isnan(integers).any():
            return False
        return replace(op, LookupOp.build(source.operands[0], table=ir.DenseElementsAttr.get(integers.astype(np.int8))))
