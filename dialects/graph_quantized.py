"""The ops of the graph dialect for quantised arithmetic: between floats and integers, and between integers.

A quantised tensor of scale s holds integers q that stand for the numbers s * q: symmetric, without zero points. All
rounding is to nearest, ties to even. `docs/quantization.md` is the specification of whole layers.
"""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from terrace.dialects.base import Attributes, ShapeError, element_type_of
from terrace.dialects.graph_base import Elementwise, Operand, Result, Tensor
from terrace.mlir import ext, ir


def require_integer(name: str, type_: ir.Type, widths: tuple[int, ...]) -> None:
    if not isinstance(type_, ir.IntegerType) or type_.width not in widths:
        raise ShapeError(f"{name} must have element type {' or '.join(f'i{w}' for w in widths)}, got {type_}")


def require_float(name: str, type_: ir.Type) -> None:
    if not isinstance(type_, ir.F32Type):
        raise ShapeError(f"{name} must have element type f32, got {type_}")


class Rounding(Elementwise):
    """An elementwise op whose declared result says which integer type it saturates to."""

    RESULT_WIDTHS = (8, 16, 32)

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return None

    def _check(self, tensors: list[ir.Value], operation: ir.Operation) -> None:
        super()._check(tensors, operation)
        self.check_types([element_type_of(v) for v in tensors])
        require_integer("result", element_type_of(operation.results[0]), self.RESULT_WIDTHS)

    @staticmethod
    def check_types(types: list[ir.Type]) -> None:
        """Raise ShapeError for operands of wrong element types."""


class QuantizeOp(Rounding, name="quantize", traits=[ext.Pure]):
    """input / scale, rounded to nearest (ties to even) and saturated to the result's type: i8, i16 or i32.

    Both operands are f32, and the quotient is rounded to f32 first; `scale` must be positive. NaN gives 0.
    """

    input: Operand[Tensor]
    scale: Operand[Tensor]
    result: Result[Tensor]

    @staticmethod
    def check_types(types: list[ir.Type]) -> None:
        for name, type_ in zip(("input", "scale"), types, strict=False):
            require_float(name, type_)


class DequantizeOp(Elementwise, name="dequantize", traits=[ext.Pure]):
    """input * scale in f32; `input` is i8, i16 or i32 and is rounded to f32 first, which is exact below 2^24."""

    input: Operand[Tensor]
    scale: Operand[Tensor]
    result: Result[Tensor]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        require_integer("input", types[0], (8, 16, 32))
        require_float("scale", types[1])
        return types[1]


class RequantizeOp(Rounding, name="requantize", traits=[ext.Pure]):
    """input * multiplier / 2^shift, rounded to nearest (ties to even) and saturated to the result's type.

    All operands are i32 and broadcast; the product is exact in i64. `shift` must be from 1 to 62 and `multiplier`
    greater than -2^31 (then nothing overflows before the saturation). The result is i8, i16 or i32.
    """

    input: Operand[Tensor]
    multiplier: Operand[Tensor]
    shift: Operand[Tensor]
    result: Result[Tensor]

    @staticmethod
    def check_types(types: list[ir.Type]) -> None:
        for name, type_ in zip(("input", "multiplier", "shift"), types, strict=False):
            require_integer(name, type_, (32,))
