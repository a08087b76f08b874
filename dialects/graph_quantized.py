"""The ops of the graph dialect for quantised arithmetic: between floats and integers, and between integers.

A quantised tensor of scale s holds integers q that stand for the numbers s * q: symmetric, without zero points. All
rounding is to nearest, ties to even. `docs/quantization.md` is the specification of whole layers.
"""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from terrace.dialects.base import Attributes, Bool, I64Array, ShapeError, element_type_of
from terrace.dialects.graph_base import Elementwise, Operand, Result, Tensor, TensorOp, pool_shape
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


MAX_SUM_MULTIPLIER = 1 << 22
"""The largest multiplier of a `graph.scaled_add`: the sum of two times i8 stays within 2^30."""


class ScaledAddOp(Elementwise, name="scaled_add", traits=[ext.Pure]):
    """(lhs * lhs_multiplier + rhs * rhs_multiplier) / 2^shift on i8, rounded to nearest (ties to even) and saturated.

    The sum of two tensors of different scales in a third. The multipliers are at most 2^22 in magnitude and `shift` is
    from 1 to 30, so that i32 holds all of it.
    """

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    lhs_multiplier: ir.IntegerAttr
    rhs_multiplier: ir.IntegerAttr
    shift: ir.IntegerAttr
    result: Result[Tensor]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        for name, type_ in zip(("lhs", "rhs"), types, strict=False):
            require_integer(name, type_, (8,))
        for name in ("lhs_multiplier", "rhs_multiplier"):
            if abs(getattr(attrs, name)) > MAX_SUM_MULTIPLIER:
                raise ShapeError(f"{name} must be from -2^22 to 2^22, got {getattr(attrs, name)}")
        if not 1 <= attrs.shift <= 30:
            raise ShapeError(f"shift must be from 1 to 30, got {attrs.shift}")
        return types[0]


class SumPool2dOp(TensorOp, name="sum_pool2d", traits=[ext.Pure]):
    """The sum of the elements of each window that lie inside the image, i8 to i32; windows of at most 2^24 elements."""

    input: Operand[Tensor]
    kernel: I64Array
    strides: I64Array
    padding: I64Array
    dilations: I64Array
    ceil_mode: Bool
    layout: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        shape = pool_shape(shapes[0], attrs)
        if attrs.kernel[0] * attrs.kernel[1] > 2**24:
            raise ShapeError(f"sums {attrs.kernel[0] * attrs.kernel[1]} elements, which may overflow i32")
        return shape

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        require_integer("input", types[0], (8,))
        return ir.IntegerType.get_signless(32)


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
