"""Ops of the graph dialect that make random numbers."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from collections.abc import Sequence

from terrace.dialects.base import ShapeError, element_type_of, shape_of
from terrace.dialects.graph_base import Operand, Result, Tensor, TensorOp, require_equal, require_rank
from terrace.mlir import DYNAMIC, ext, ir


class RandomBitsOp(TensorOp, name="random_bits", traits=[ext.Pure]):
    """64 random bits in every element: the first two words, low and high, of Philox4x32-10 (Salmon et al., SC 2011).

    `seed`, an i64, is the key. Element number i in row-major order has the counter (i, stream) in words of 64 bits, so
    ops with different `stream` are independent. `sizes` gives the result's `?`, in order.
    """

    seed: Operand[Tensor]
    sizes: Sequence[Operand[ir.IndexType]]
    stream: ir.IntegerAttr
    result: Result[Tensor]

    def _check(self, tensors: list[ir.Value], operation: ir.Operation) -> None:
        target = shape_of(operation.results[0])
        require_equal("numbers of sizes and of '?'", len(operation.operands) - 1, target.count(DYNAMIC))
        require_rank("seed", shape_of(tensors[0]), 0)
        for value in (tensors[0], operation.results[0]):
            if str(element_type_of(value)) != "i64":
                raise ShapeError(f"seed and result must have element type i64, got {element_type_of(value)}")
