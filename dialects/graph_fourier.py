"""The op of the graph dialect that Fourier transforms are made of."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from terrace.dialects.base import Bool, ShapeError, element_type_of, shape_of
from terrace.dialects.graph_base import Result, Tensor, TensorOp
from terrace.mlir import DYNAMIC, ext, ir


class RootsOfUnityOp(TensorOp, name="roots_of_unity", traits=[ext.Pure]):
    """cos(2 pi i j / length) in row i and column j, or the sine where `imaginary`.

    A constant expression: it is computed in float64 when the program is loaded or written, and rounded once.
    """

    length: ir.IntegerAttr
    imaginary: Bool
    result: Result[Tensor]

    def _check(self, tensors: list[ir.Value], operation: ir.Operation) -> None:
        shape, element_type = shape_of(operation.results[0]), element_type_of(operation.results[0])
        if len(shape) != 2 or DYNAMIC in shape:
            raise ShapeError(f"result must be a matrix of static shape, got {operation.results[0].type}")
        if not isinstance(element_type, (ir.F32Type, ir.F64Type)):
            raise ShapeError(f"result must have element type f32 or f64, got {element_type}")
        if ir.IntegerAttr(operation.attributes["length"]).value < 1:
            raise ShapeError("attribute 'length' must be at least 1")
