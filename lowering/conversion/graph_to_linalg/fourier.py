"""roots_of_unity, an element at a time: the reference, as pipelines evaluate the op before a program runs."""

from __future__ import annotations

import math

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.mlir import arith, ir, linalg
from terrace.mlir import math as math_dialect
from terrace.rewriting import Pattern


@reference_of(graph.RootsOfUnityOp)
class ConvertRootsOfUnity(Pattern):
    """The angle is reduced in integers, so its size costs no precision."""

    def rewrite(self, op: ir.OpView) -> bool:
        attrs, result = attributes_of(op), op.operation.results[0]
        element_type = element_type_of(result)
        function = math_dialect.sin if attrs.imaginary else math_dialect.cos

        def body() -> ir.Value:
            i64, f64 = ir.IntegerType.get_signless(64), ir.F64Type.get()
            row, column = (arith.index_cast(i64, linalg.IndexOp(axis).result) for axis in (0, 1))
            turn = arith.remui(arith.muli(row, column), arith.constant(i64, attrs.length))
            step = arith.constant(f64, 2 * math.pi / attrs.length)
            value = function(arith.mulf(arith.uitofp(f64, turn), step))
            return value if element_type == f64 else arith.truncf(element_type, value)

        return b.finish(op, b.elementwise([], [], shape_of(result), element_type, body))
