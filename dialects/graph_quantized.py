"""The ops of the graph dialect for quantised arithmetic: between floats and integers, and between integers.

A quantised tensor of scale s holds integers q that stand for the numbers s * q: symmetric, without zero points. All
rounding is to nearest, ties to even. `docs/quantization.md` is the specification of whole layers.
"""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
import math
from typing import Any

from terrace.dialects.base import Attributes, Bool, I64Array, ShapeError, element_type_of, format_shape, shape_of
from terrace.dialects.graph_base import Elementwise, Operand, Result, Tensor, TensorOp, pool_shape, require_axis
from terrace.mlir import DYNAMIC, ext, ir


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


Table = Any
"""A dense attribute, which the bindings' constraint language cannot name."""


def require_table(table: ir.Attribute, widths: tuple[int, ...]) -> ir.Type:
    """The element type of a table of 256 integers."""
    if not isinstance(table, ir.DenseElementsAttr) or shape_of(table.type) != [256]:
        raise ShapeError("attribute 'table' must be dense and have 256 elements")
    element = element_type_of(table.type)
    require_integer("attribute 'table'", element, widths)
    return element


class LookupOp(Elementwise, name="lookup", traits=[ext.Pure]):
    """table[input + 128], for any function of an i8: 256 integers in a dense attribute, whose type the result has."""

    input: Operand[Tensor]
    table: Table
    result: Result[Tensor]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        require_integer("input", types[0], (8,))
        return require_table(attrs.table, (8, 16, 32))


MAX_SOFTMAX_LENGTH = 32767
"""The longest row whose sum of exponentials, each at most 2^16, an i32 always holds."""


class IntegerSoftmaxOp(TensorOp, name="integer_softmax", traits=[ext.Pure]):
    """Softmax of i8 along `axis`, in i8 with scale 1/127.

    With m the largest x: e(x) = table[255 + x - m], from 0 to 2^16, and 2^16 for m itself;
    r = floor(127 * 2^40 / sum of e) in i64; the result is e * r / 2^40, rounded to nearest (ties to even). The sum is
    an i32, so that the axis has at most 32767 elements.
    """

    input: Operand[Tensor]
    axis: ir.IntegerAttr
    table: Table
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        require_axis(attrs.axis, len(shapes[0]))
        if shapes[0][attrs.axis] > MAX_SOFTMAX_LENGTH:
            raise ShapeError(f"sums {shapes[0][attrs.axis]} exponentials, {MAX_SOFTMAX_LENGTH} is the limit")
        return shapes[0]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        require_integer("input", types[0], (8,))
        require_table(attrs.table, (32,))
        powers = [int(power) for power in ir.DenseIntElementsAttr(attrs.table)]
        if powers[-1] != 2**16 or min(powers) < 0 or max(powers) > 2**16:
            raise ShapeError("attribute 'table' must go from 0 to 65536 and end with that")
        return types[0]


MAX_NORM_LENGTH = 4096
"""The longest row of a `graph.integer_layer_norm`: no step of it then leaves its type."""


class IntegerLayerNormOp(TensorOp, name="integer_layer_norm", traits=[ext.Pure]):
    """(x - mean) / sqrt(variance + epsilon) of i8 over the last `dims` dimensions, in i32 with 10 fractional bits.

    Over a row of n elements, 1 <= n <= 4096, known when it is compiled: c = n * x - sum of x, in i32;
    w = floor(sum of c^2 / n) + epsilon in i64, which is n^2 times the variance; r = the floor of the square root of
    2^16 * w, at least 1; the result is c * floor(2^48 / r) / 2^30, rounded to nearest (ties to even). `epsilon` is
    n^2 / scale^2 times that of the layer, from 0 to 2^44.
    """

    input: Operand[Tensor]
    dims: ir.IntegerAttr
    epsilon: ir.IntegerAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        shape = shapes[0]
        if not 1 <= attrs.dims <= len(shape):
            raise ShapeError(f"dims must be from 1 to {len(shape)}, got {attrs.dims}")
        if not 0 <= attrs.epsilon <= 2**44:
            raise ShapeError(f"epsilon must be from 0 to 2^44, got {attrs.epsilon}")
        row = shape[len(shape) - attrs.dims :]
        if DYNAMIC in row or not 1 <= math.prod(row) <= MAX_NORM_LENGTH:
            raise ShapeError(f"a row must have from 1 to {MAX_NORM_LENGTH} elements, got {format_shape(row)}")
        return shape

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        require_integer("input", types[0], (8,))
        return ir.IntegerType.get_signless(32)


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
