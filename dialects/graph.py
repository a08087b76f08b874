"""The graph dialect: WHAT is computed, as a pure DAG of named tensor operations.

Values are ranked tensors; a size may be `?` everywhere. Operands of elementwise ops broadcast by NumPy's rules
(aligned at the last dimension, size 1 stretches). Weights keep PyTorch's logical order whatever layout the schedule
chooses later. Every op has a conversion to linalg (`convert-graph-to-linalg`), which is its reference.
"""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from collections.abc import Sequence
from typing import Any

from terrace.dialects.base import (
    Attributes,
    Bool,
    I64Array,
    ShapeError,
    attributes_of,
    compatible,
    element_type_of,
    format_shape,
    shape_of,
    to_attribute,
    verify,
)
from terrace.mlir import DYNAMIC, ext, ir

Tensor = ir.RankedTensorType
Operand = ext.Operand
Result = ext.Result


class Graph(ext.Dialect, name="graph"):
    """The namespace `graph.`"""


class TensorOp(Graph.Operation):
    """An op on tensors with one result. Subclasses state their shape rule in `infer` (and `infer_element_type`)."""

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        """The result's shape from the operands' shapes, or None when the declared type decides. Raises ShapeError."""
        return None

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        """The result's element type from the operands'; the first operand's unless overridden."""
        return types[0] if types else None

    @classmethod
    def build(cls, *operands: ir.Value, result_type: ir.Type | None = None, **attributes: Any) -> ir.Value:
        """Create the op at the current insertion point, its result type inferred unless given; returns the result."""
        attrs = Attributes(attributes)
        if result_type is None:
            shape = cls.infer([shape_of(v) for v in operands], attrs)
            element_type = cls.infer_element_type([element_type_of(v) for v in operands], attrs)
            assert shape is not None and element_type is not None, f"{cls.__name__} needs a result type"
            result_type = ir.RankedTensorType.get(shape, element_type)
        operation = ir.Operation.create(
            cls.OPERATION_NAME,
            results=[result_type],
            operands=list(operands),
            attributes={name: to_attribute(value) for name, value in attributes.items()},
        )
        return operation.results[0]

    def verify_invariants(self) -> bool:
        operation = self.operation
        values = [*operation.operands, *operation.results]
        # The bindings run this verifier before their own check of operand counts and types, which reports these.
        if len(operation.results) != 1 or not all(
            isinstance(v.type, (ir.RankedTensorType, ir.IndexType)) for v in values
        ):
            return True
        tensors = [v for v in operation.operands if isinstance(v.type, ir.RankedTensorType)]
        return verify(operation, lambda: self._check(tensors, operation))

    def _check(self, tensors: list[ir.Value], operation: ir.Operation) -> None:
        attrs = attributes_of(operation)
        result = operation.results[0]
        try:
            shape = self.infer([shape_of(v) for v in tensors], attrs)
            element_type = self.infer_element_type([element_type_of(v) for v in tensors], attrs)
        except IndexError:
            return  # too few operands: the bindings' own check names the count
        if shape is not None and not compatible(shape, shape_of(result)):
            raise ShapeError(f"result has shape {format_shape(shape_of(result))}, expected {format_shape(shape)}")
        if element_type is not None and element_type != element_type_of(result):
            raise ShapeError(f"result has element type {element_type_of(result)}, expected {element_type}")


# ---------------------------------------------------------------------------------------------------------------------
# Shape rules
# ---------------------------------------------------------------------------------------------------------------------


def broadcast_shapes(shapes: Sequence[Sequence[int]]) -> list[int]:
    """NumPy's broadcast of `shapes`; `?` meeting a known size other than 1 takes the known size."""
    rank = max(len(shape) for shape in shapes)
    result = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, start=rank - len(shape)):
            if size == 1 or size == result[axis]:
                continue
            if result[axis] == 1 or (result[axis] == DYNAMIC and size != DYNAMIC):
                result[axis] = size
            elif size != DYNAMIC:
                raise ShapeError(f"cannot broadcast shapes {' and '.join(map(format_shape, shapes))}")
    return result


def require_rank(name: str, shape: Sequence[int], rank: int) -> None:
    if len(shape) != rank:
        raise ShapeError(f"{name} must have rank {rank}, got {format_shape(shape)}")


def require_length(name: str, values: Sequence[int], length: int) -> None:
    if len(values) != length:
        raise ShapeError(f"attribute '{name}' must have {length} elements, got {len(values)}")


def require_equal(what: str, left: int, right: int) -> None:
    if left != right and DYNAMIC not in (left, right):
        raise ShapeError(f"{what} differ: {left} and {right}")


def require_axis(axis: int, rank: int) -> None:
    if not 0 <= axis < rank:
        raise ShapeError(f"axis {axis} is out of range for rank {rank}")


def require_same_type(types: Sequence[ir.Type]) -> ir.Type:
    for type_ in types[1:]:
        if type_ != types[0]:
            raise ShapeError(f"operands have different element types: {types[0]} and {type_}")
    return types[0]


def window_size(size: int, kernel: int, stride: int, low: int, high: int, dilation: int, ceil: bool = False) -> int:
    """How many windows of `kernel` elements fit along a padded dimension (PyTorch's formula); `?` stays `?`."""
    if DYNAMIC in (size, kernel):
        return DYNAMIC
    if stride < 1 or dilation < 1:
        raise ShapeError("strides and dilations must be positive")
    span = size + low + high - dilation * (kernel - 1) - 1
    if span < 0:
        raise ShapeError(f"the window of {dilation * (kernel - 1) + 1} elements exceeds the padded size")
    count = span // stride + 1
    if ceil and span % stride and count * stride < size + low:
        count += 1
    return count


def image_axes(layout: str) -> tuple[int, int, int]:
    """Positions of (channel, height, width) in a rank-4 tensor of this layout, NCHW or NHWC."""
    if layout not in ("NCHW", "NHWC"):
        raise ShapeError(f"attribute 'layout' must be NCHW or NHWC, got {layout}")
    return (1, 2, 3) if layout == "NCHW" else (3, 1, 2)


def image_shape(layout: str, batch: int, channels: int, height: int, width: int) -> list[int]:
    return [batch, channels, height, width] if layout == "NCHW" else [batch, height, width, channels]


def pool_shape(shape: list[int], attrs: Attributes) -> list[int]:
    require_rank("input", shape, 4)
    require_length("kernel", attrs.kernel, 2)
    require_length("strides", attrs.strides, 2)
    require_length("padding", attrs.padding, 4)
    require_length("dilations", attrs.dilations, 2)
    c, h, w = image_axes(attrs.layout)
    top, bottom, left, right = attrs.padding
    height = window_size(shape[h], attrs.kernel[0], attrs.strides[0], top, bottom, attrs.dilations[0], attrs.ceil_mode)
    width = window_size(shape[w], attrs.kernel[1], attrs.strides[1], left, right, attrs.dilations[1], attrs.ceil_mode)
    return image_shape(attrs.layout, shape[0], shape[c], height, width)


# ---------------------------------------------------------------------------------------------------------------------
# Values that outlive a call
# ---------------------------------------------------------------------------------------------------------------------


class ParameterOp(Graph.Operation, name="parameter"):
    """A weight, known by its key in the model's parameter archive. A symbol at module level, of tensor type `type`.

    Passes never read its elements. Tied weights are one parameter.
    """

    sym_name: ir.StringAttr
    type: ir.TypeAttr


class ConstantOp(Graph.Operation, name="constant", traits=[ir.IsIsolatedFromAboveTrait]):
    """A constant expression over parameters: a symbol at module level whose body yields its value.

    The body holds graph ops over `graph.load` of other symbols. It is evaluated once, when the artefact is written.
    """

    sym_name: ir.StringAttr
    type: ir.TypeAttr
    body: ext.Region


class StateOp(Graph.Operation, name="state"):
    """A mutable buffer of the program: a symbol at module level, starting as a copy of the parameter `initial`."""

    sym_name: ir.StringAttr
    type: ir.TypeAttr
    initial: ir.FlatSymbolRefAttr


class LoadOp(Graph.Operation, name="load", traits=[ext.Pure]):
    """The value of a `graph.parameter` or `graph.constant`. Pure: these never change."""

    symbol: ir.FlatSymbolRefAttr
    result: Result[Tensor]


class LoadStateOp(Graph.Operation, name="load_state"):
    """The value of a `graph.state` at this point of the program."""

    symbol: ir.FlatSymbolRefAttr
    result: Result[Tensor]


class StoreStateOp(Graph.Operation, name="store_state"):
    """Replaces the value of a `graph.state` by `value`; later loads, in this call and the next ones, see it."""

    value: Operand[Tensor]
    symbol: ir.FlatSymbolRefAttr


# ---------------------------------------------------------------------------------------------------------------------
# Grouping
# ---------------------------------------------------------------------------------------------------------------------


class FusionOp(Graph.Operation, name="fusion"):
    """A group of ops that becomes one kernel. The body uses values from above freely and ends in `graph.yield`."""

    results_: Sequence[Result[Any]]
    body: ext.Region


class YieldOp(Graph.Operation, name="yield", traits=[ext.Pure, ir.IsTerminatorTrait]):
    """Ends the body of `graph.fusion` or `graph.constant` and gives its values."""

    values: Sequence[Operand[Any]]


# ---------------------------------------------------------------------------------------------------------------------
# Elementwise
# ---------------------------------------------------------------------------------------------------------------------


class Elementwise(TensorOp):
    """Computes each element of the result from the elements at the same place of the (broadcast) operands.

    Only a size known to be 1 stretches: a `?` is taken to equal the result's size when the program runs.
    """

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        return broadcast_shapes(shapes)

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return require_same_type(types)


class AbsOp(Elementwise, name="abs", traits=[ext.Pure]):
    """|x|."""

    input: Operand[Tensor]
    result: Result[Tensor]


class CeilOp(Elementwise, name="ceil", traits=[ext.Pure]):
    """The smallest integer that is at least x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class CosOp(Elementwise, name="cos", traits=[ext.Pure]):
    """cos(x), x in radians."""

    input: Operand[Tensor]
    result: Result[Tensor]


class ErfOp(Elementwise, name="erf", traits=[ext.Pure]):
    """The error function of x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class ExpOp(Elementwise, name="exp", traits=[ext.Pure]):
    """e to the power x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class FloorOp(Elementwise, name="floor", traits=[ext.Pure]):
    """The largest integer that is at most x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class GeluOp(Elementwise, name="gelu", traits=[ext.Pure]):
    """x * Phi(x). `approximate` is "none" (by erf) or "tanh" (0.5x(1+tanh(sqrt(2/pi)(x+0.044715x^3))))."""

    input: Operand[Tensor]
    approximate: ir.StringAttr
    result: Result[Tensor]


class HardsigmoidOp(Elementwise, name="hardsigmoid", traits=[ext.Pure]):
    """clamp(x + 3, 0, 6) / 6."""

    input: Operand[Tensor]
    result: Result[Tensor]


class HardswishOp(Elementwise, name="hardswish", traits=[ext.Pure]):
    """x * clamp(x + 3, 0, 6) / 6."""

    input: Operand[Tensor]
    result: Result[Tensor]


class LogOp(Elementwise, name="log", traits=[ext.Pure]):
    """The natural logarithm of x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class NegOp(Elementwise, name="neg", traits=[ext.Pure]):
    """-x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class ReluOp(Elementwise, name="relu", traits=[ext.Pure]):
    """0 where x < 0, else x; so NaN stays NaN."""

    input: Operand[Tensor]
    result: Result[Tensor]


class RsqrtOp(Elementwise, name="rsqrt", traits=[ext.Pure]):
    """1 / sqrt(x)."""

    input: Operand[Tensor]
    result: Result[Tensor]


class SigmoidOp(Elementwise, name="sigmoid", traits=[ext.Pure]):
    """1 / (1 + exp(-x))."""

    input: Operand[Tensor]
    result: Result[Tensor]


class SiluOp(Elementwise, name="silu", traits=[ext.Pure]):
    """x / (1 + exp(-x))."""

    input: Operand[Tensor]
    result: Result[Tensor]


class SinOp(Elementwise, name="sin", traits=[ext.Pure]):
    """sin(x), x in radians."""

    input: Operand[Tensor]
    result: Result[Tensor]


class SqrtOp(Elementwise, name="sqrt", traits=[ext.Pure]):
    """The square root of x."""

    input: Operand[Tensor]
    result: Result[Tensor]


class TanhOp(Elementwise, name="tanh", traits=[ext.Pure]):
    """tanh(x)."""

    input: Operand[Tensor]
    result: Result[Tensor]


class AddOp(Elementwise, name="add", traits=[ext.Pure]):
    """lhs + rhs."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class SubOp(Elementwise, name="sub", traits=[ext.Pure]):
    """lhs - rhs."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class MulOp(Elementwise, name="mul", traits=[ext.Pure]):
    """lhs * rhs."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class DivOp(Elementwise, name="div", traits=[ext.Pure]):
    """lhs / rhs, on floating point."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class PowOp(Elementwise, name="pow", traits=[ext.Pure]):
    """lhs to the power rhs, on floating point."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class MaximumOp(Elementwise, name="maximum", traits=[ext.Pure]):
    """The larger of both; NaN if either is NaN."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class MinimumOp(Elementwise, name="minimum", traits=[ext.Pure]):
    """The smaller of both; NaN if either is NaN."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]


class CompareOp(Elementwise, name="compare", traits=[ext.Pure]):
    """lhs `predicate` rhs as i1; `predicate` is one of eq, ne, lt, le, gt, ge. Any comparison with NaN but ne is 0."""

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    predicate: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        if attrs.predicate not in ("eq", "ne", "lt", "le", "gt", "ge"):
            raise ShapeError(f"unknown predicate '{attrs.predicate}'")
        require_same_type(types)
        return ir.IntegerType.get_signless(1)


class SelectOp(Elementwise, name="select", traits=[ext.Pure]):
    """`on_true` where `condition` (i1) is 1, else `on_false`."""

    condition: Operand[Tensor]
    on_true: Operand[Tensor]
    on_false: Operand[Tensor]
    result: Result[Tensor]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        if types[0] != ir.IntegerType.get_signless(1):
            raise ShapeError(f"condition must have element type i1, got {types[0]}")
        return require_same_type(types[1:3])


class CastOp(Elementwise, name="cast", traits=[ext.Pure]):
    """The same number in the result's element type, as `Tensor.to(dtype)`: float to integer truncates towards zero."""

    input: Operand[Tensor]
    result: Result[Tensor]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return None


# ---------------------------------------------------------------------------------------------------------------------
# Contractions
# ---------------------------------------------------------------------------------------------------------------------


class MatmulOp(TensorOp, name="matmul", traits=[ext.Pure]):
    """lhs[..., k] * rhs[k, n] summed over k; rhs is [n, k] when `transpose_rhs` (torch.nn.Linear's weight).

    lhs has any number of leading dimensions, at least one; rhs has rank 2. MACs: product of leading sizes * n * k.
    """

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    transpose_rhs: Bool
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        lhs, rhs = shapes
        require_rank("rhs", rhs, 2)
        if len(lhs) < 2:
            raise ShapeError(f"lhs must have rank 2 or more, got {format_shape(lhs)}")
        n, k = rhs if attrs.transpose_rhs else reversed(rhs)
        require_equal("contracted sizes", lhs[-1], k)
        return [*lhs[:-1], n]


class BatchMatmulOp(TensorOp, name="batch_matmul", traits=[ext.Pure]):
    """lhs[b..., m, k] * rhs[b..., k, n] summed over k; rhs is [b..., n, k] when `transpose_rhs`.

    Both have the same leading batch sizes, at least one.
    """

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    transpose_rhs: Bool
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        lhs, rhs = shapes
        if len(lhs) < 3 or not compatible(lhs[:-2], rhs[:-2]):
            raise ShapeError(f"batch sizes differ: {format_shape(lhs)} and {format_shape(rhs)}")
        n, k = rhs[-2:] if attrs.transpose_rhs else reversed(rhs[-2:])
        require_equal("contracted sizes", lhs[-1], k)
        return [*(a if a != DYNAMIC else b for a, b in zip(lhs[:-2], rhs[:-2], strict=True)), lhs[-2], n]


class Conv2dOp(TensorOp, name="conv2d", traits=[ext.Pure]):
    """2-D cross-correlation, as torch.nn.functional.conv2d without bias.

    `input` is in `layout` (NCHW or NHWC) and so is the result; `weight` is [out, in / groups, kh, kw] always.
    `padding` is (top, bottom, left, right) zeros.
    """

    input: Operand[Tensor]
    weight: Operand[Tensor]
    strides: I64Array
    padding: I64Array
    dilations: I64Array
    groups: ir.IntegerAttr
    layout: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        image, weight = shapes
        require_rank("input", image, 4)
        require_rank("weight", weight, 4)
        require_length("strides", attrs.strides, 2)
        require_length("padding", attrs.padding, 4)
        require_length("dilations", attrs.dilations, 2)
        c, h, w = image_axes(attrs.layout)
        if attrs.groups < 1 or (weight[0] != DYNAMIC and weight[0] % attrs.groups):
            raise ShapeError(f"{attrs.groups} groups do not divide {weight[0]} output channels")
        if DYNAMIC not in (image[c], weight[1]):
            require_equal("channels of the input and of all groups", image[c], weight[1] * attrs.groups)
        top, bottom, left, right = attrs.padding
        height = window_size(image[h], weight[2], attrs.strides[0], top, bottom, attrs.dilations[0])
        width = window_size(image[w], weight[3], attrs.strides[1], left, right, attrs.dilations[1])
        return image_shape(attrs.layout, image[0], weight[0], height, width)


class ConvTranspose2dOp(TensorOp, name="conv_transpose2d", traits=[ext.Pure]):
    """Transposed 2-D convolution, as torch.nn.functional.conv_transpose2d without bias.

    `weight` is [in, out / groups, kh, kw]; `padding` is (height, width), both sides, as in PyTorch.
    """

    input: Operand[Tensor]
    weight: Operand[Tensor]
    strides: I64Array
    padding: I64Array
    output_padding: I64Array
    dilations: I64Array
    groups: ir.IntegerAttr
    layout: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        image, weight = shapes
        require_rank("input", image, 4)
        require_rank("weight", weight, 4)
        for name in ("strides", "padding", "output_padding", "dilations"):
            require_length(name, getattr(attrs, name), 2)
        c, h, w = image_axes(attrs.layout)
        require_equal("input channels", image[c], weight[0])
        sizes = [
            DYNAMIC
            if DYNAMIC in (image[axis], weight[2 + i])
            else (image[axis] - 1) * attrs.strides[i]
            - 2 * attrs.padding[i]
            + attrs.dilations[i] * (weight[2 + i] - 1)
            + attrs.output_padding[i]
            + 1
            for i, axis in enumerate((h, w))
        ]
        channels = DYNAMIC if weight[1] == DYNAMIC else weight[1] * attrs.groups
        return image_shape(attrs.layout, image[0], channels, sizes[0], sizes[1])


class AttentionOp(TensorOp, name="attention", traits=[ext.Pure]):
    """softmax(query * key^T * scale + mask) * value, over the last two dimensions.

    query is [b..., l, e], key [b..., s, e], value [b..., s, v]. `mask`, if given, is additive, of the result's element
    type, and broadcasts to [b..., l, s]. With `is_causal`, row i sees columns up to i only (PyTorch's top-left mask).
    """

    query: Operand[Tensor]
    key: Operand[Tensor]
    value: Operand[Tensor]
    mask: Sequence[Operand[Tensor]]
    scale: ir.FloatAttr
    is_causal: Bool
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        query, key, value = shapes[:3]
        if len(query) < 3 or not (compatible(query[:-2], key[:-2]) and compatible(key[:-2], value[:-2])):
            raise ShapeError(f"batch sizes differ: {', '.join(map(format_shape, shapes[:3]))}")
        require_equal("widths of query and key", query[-1], key[-1])
        require_equal("lengths of key and value", key[-2], value[-2])
        return [*query[:-1], value[-1]]


# ---------------------------------------------------------------------------------------------------------------------
# Pooling and normalisation
# ---------------------------------------------------------------------------------------------------------------------


class MaxPool2dOp(TensorOp, name="max_pool2d", traits=[ext.Pure]):
    """The maximum of each window; NaN propagates. `padding` is (top, bottom, left, right) elements equal to -inf."""

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
        return pool_shape(shapes[0], attrs)


class AvgPool2dOp(TensorOp, name="avg_pool2d", traits=[ext.Pure]):
    """The mean of each window. With `count_include_pad`, padded zeros count in the divisor (PyTorch's default)."""

    input: Operand[Tensor]
    kernel: I64Array
    strides: I64Array
    padding: I64Array
    dilations: I64Array
    ceil_mode: Bool
    count_include_pad: Bool
    layout: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        return pool_shape(shapes[0], attrs)


class BatchNormOp(TensorOp, name="batch_norm", traits=[ext.Pure]):
    """(x - mean) / sqrt(variance + epsilon) * scale + shift, the four of shape [channels], along `axis`."""

    input: Operand[Tensor]
    mean: Operand[Tensor]
    variance: Operand[Tensor]
    scale: Operand[Tensor]
    shift: Operand[Tensor]
    epsilon: ir.FloatAttr
    axis: ir.IntegerAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        require_axis(attrs.axis, len(shapes[0]))
        for shape in shapes[1:5]:
            require_rank("a statistic", shape, 1)
            require_equal("channels", shape[0], shapes[0][attrs.axis])
        return shapes[0]


class LayerNormOp(TensorOp, name="layer_norm", traits=[ext.Pure]):
    """(x - mean) / sqrt(var + epsilon) * scale + shift over the last dimensions, those of `scale` and `shift`.

    The variance is the biased one, computed from centred values (two passes).
    """

    input: Operand[Tensor]
    scale: Operand[Tensor]
    shift: Operand[Tensor]
    epsilon: ir.FloatAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        for shape in shapes[1:3]:
            if not compatible(shape, shapes[0][len(shapes[0]) - len(shape) :]):
                raise ShapeError(f"scale {format_shape(shape)} does not end {format_shape(shapes[0])}")
        return shapes[0]


class RmsNormOp(TensorOp, name="rms_norm", traits=[ext.Pure]):
    """x / sqrt(mean(x^2) + epsilon) * scale over the last dimensions, those of `scale`."""

    input: Operand[Tensor]
    scale: Operand[Tensor]
    epsilon: ir.FloatAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        if not compatible(shapes[1], shapes[0][len(shapes[0]) - len(shapes[1]) :]):
            raise ShapeError(f"scale {format_shape(shapes[1])} does not end {format_shape(shapes[0])}")
        return shapes[0]


class GroupNormOp(TensorOp, name="group_norm", traits=[ext.Pure]):
    """Normalises each of `groups` groups of channels (dimension 1) over the group and all later dimensions."""

    input: Operand[Tensor]
    scale: Operand[Tensor]
    shift: Operand[Tensor]
    groups: ir.IntegerAttr
    epsilon: ir.FloatAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        image = shapes[0]
        if len(image) < 2 or (image[1] != DYNAMIC and image[1] % attrs.groups):
            raise ShapeError(f"{attrs.groups} groups do not divide the channels of {format_shape(image)}")
        for shape in shapes[1:3]:
            require_rank("scale and shift", shape, 1)
            require_equal("channels", shape[0], image[1])
        return image


class SoftmaxOp(TensorOp, name="softmax", traits=[ext.Pure]):
    """exp(x - max(x)) / sum(exp(x - max(x))) along `axis`."""

    input: Operand[Tensor]
    axis: ir.IntegerAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        require_axis(attrs.axis, len(shapes[0]))
        return shapes[0]


# ---------------------------------------------------------------------------------------------------------------------
# Reductions and look-ups
# ---------------------------------------------------------------------------------------------------------------------

REDUCTIONS = ("sum", "mean", "max", "min", "prod")


class ReduceOp(TensorOp, name="reduce", traits=[ext.Pure]):
    """Reduces `axes` (ascending) by `kind`: sum, mean, max, min (NaN propagates) or prod; `keepdims` leaves a 1."""

    input: Operand[Tensor]
    kind: ir.StringAttr
    axes: I64Array
    keepdims: Bool
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        if attrs.kind not in REDUCTIONS:
            raise ShapeError(f"unknown kind '{attrs.kind}', expected one of {', '.join(REDUCTIONS)}")
        for axis in attrs.axes:
            require_axis(axis, len(shapes[0]))
        if attrs.axes != sorted(set(attrs.axes)):
            raise ShapeError("attribute 'axes' must be ascending")
        if attrs.keepdims:
            return [1 if i in attrs.axes else size for i, size in enumerate(shapes[0])]
        return [size for i, size in enumerate(shapes[0]) if i not in attrs.axes]


class EmbeddingOp(TensorOp, name="embedding", traits=[ext.Pure]):
    """Rows of `table` [rows, width] picked by integer `indices` [...]: [..., width]. Out of range is undefined."""

    table: Operand[Tensor]
    indices: Operand[Tensor]
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        require_rank("table", shapes[0], 2)
        return [*shapes[1], shapes[0][1]]


# ---------------------------------------------------------------------------------------------------------------------
# Layout
# ---------------------------------------------------------------------------------------------------------------------


class ReshapeOp(TensorOp, name="reshape", traits=[ext.Pure]):
    """The same elements in row-major order under the result's shape; `sizes` gives its `?` sizes, in order."""

    input: Operand[Tensor]
    sizes: Sequence[Operand[ir.IndexType]]
    result: Result[Tensor]

    def _check(self, tensors: list[ir.Value], operation: ir.Operation) -> None:
        source, target = ir.ShapedType(tensors[0].type), ir.ShapedType(operation.results[0].type)
        require_equal("numbers of sizes and of '?'", len(operation.operands) - 1, target.shape.count(DYNAMIC))
        if source.element_type != target.element_type:
            raise ShapeError("cannot change the element type")
        if source.has_static_shape and target.has_static_shape:
            count = [1, 1]
            for i, type_ in enumerate((source, target)):
                for size in type_.shape:
                    count[i] *= size
            require_equal("element counts", *count)


class PermuteOp(TensorOp, name="permute", traits=[ext.Pure]):
    """result dimension i is input dimension `permutation[i]`, as torch.permute."""

    input: Operand[Tensor]
    permutation: I64Array
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        if sorted(attrs.permutation) != list(range(len(shapes[0]))):
            raise ShapeError(f"{attrs.permutation} is not a permutation of rank {len(shapes[0])}")
        return [shapes[0][axis] for axis in attrs.permutation]


class BroadcastOp(TensorOp, name="broadcast", traits=[ext.Pure]):
    """Stretches `input` to the result's shape by NumPy's rules, as torch.expand; `sizes` gives its `?`, in order."""

    input: Operand[Tensor]
    sizes: Sequence[Operand[ir.IndexType]]
    result: Result[Tensor]

    def _check(self, tensors: list[ir.Value], operation: ir.Operation) -> None:
        target = list(ir.ShapedType(operation.results[0].type).shape)
        require_equal("numbers of sizes and of '?'", len(operation.operands) - 1, target.count(DYNAMIC))
        shape = list(ir.ShapedType(tensors[0].type).shape)
        if not compatible(broadcast_shapes([shape, target]), target):
            raise ShapeError(f"cannot broadcast {format_shape(shape)} to {format_shape(target)}")


class SliceOp(TensorOp, name="slice", traits=[ext.Pure]):
    """input[start : stop : step] in every dimension, all static, 0 <= start <= stop <= size, step >= 1.

    A `stop` of -1 takes the dimension to its end and is the only one allowed where the size is `?`.
    """

    input: Operand[Tensor]
    starts: I64Array
    stops: I64Array
    steps: I64Array
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        result = []
        for name in ("starts", "stops", "steps"):
            require_length(name, getattr(attrs, name), len(shapes[0]))
        for size, start, stop, step in zip(shapes[0], attrs.starts, attrs.stops, attrs.steps, strict=True):
            if size == DYNAMIC:
                if stop != -1:
                    raise ShapeError("cannot stop a slice inside a dynamic dimension")
                result.append(DYNAMIC)
                continue
            end = size if stop == -1 else stop
            if not (0 <= start <= end <= size and step >= 1):
                raise ShapeError(f"slice {start}:{stop}:{step} is out of range for size {size}")
            result.append((end - start + step - 1) // step)
        return result


class ConcatOp(TensorOp, name="concat", traits=[ext.Pure]):
    """`lhs`, then `rhs`, along `axis`. `build` takes any number of tensors and chains them.

    Two operands, not a variadic: the bindings demand one type of all values of a variadic operand.
    """

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    axis: ir.IntegerAttr
    result: Result[Tensor]

    @classmethod
    def build(cls, *operands: ir.Value, result_type: ir.Type | None = None, **attributes: Any) -> ir.Value:
        """The concatenation of one or more tensors; `result_type` is the type of the whole."""
        result, *others = operands
        for i, operand in enumerate(others, start=1):
            declared = result_type if i == len(others) else None
            result = super().build(result, operand, result_type=declared, **attributes)
        return result

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        axis, first = attrs.axis, shapes[0]
        require_axis(axis, len(first))
        total = 0
        for shape in shapes:
            if not compatible(shape[:axis] + shape[axis + 1 :], first[:axis] + first[axis + 1 :]):
                raise ShapeError(f"shapes {format_shape(first)} and {format_shape(shape)} differ off the axis")
            total = DYNAMIC if DYNAMIC in (total, shape[axis]) else total + shape[axis]
        return [*first[:axis], total, *first[axis + 1 :]]


class PadOp(TensorOp, name="pad", traits=[ext.Pure]):
    """`low` and `high` elements equal to `value` before and after each dimension."""

    input: Operand[Tensor]
    low: I64Array
    high: I64Array
    value: ir.FloatAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        require_length("low", attrs.low, len(shapes[0]))
        require_length("high", attrs.high, len(shapes[0]))
        if min([*attrs.low, *attrs.high], default=0) < 0:
            raise ShapeError("padding must not be negative")
        return [
            DYNAMIC if size == DYNAMIC else size + low + high
            for size, low, high in zip(shapes[0], attrs.low, attrs.high, strict=True)
        ]


class PackOp(TensorOp, name="pack", traits=[ext.Pure]):
    """A blocked layout, as linalg.pack with zero padding.

    Dimension `inner_dims[i]` is cut into blocks of `inner_tiles[i]`, which become the last dimensions, in order; the
    outer dimensions are then permuted by `outer_permutation`. Example: OIHW weights [64, 64, 3, 3] with
    outer_permutation [0, 2, 3, 1], inner_dims [0], inner_tiles [32] are [2, 3, 3, 64, 32].
    """

    input: Operand[Tensor]
    outer_permutation: I64Array
    inner_dims: I64Array
    inner_tiles: I64Array
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        shape = list(shapes[0])
        if sorted(attrs.outer_permutation) != list(range(len(shape))):
            raise ShapeError(f"{attrs.outer_permutation} is not a permutation of rank {len(shape)}")
        require_length("inner_tiles", attrs.inner_tiles, len(attrs.inner_dims))
        if len(set(attrs.inner_dims)) != len(attrs.inner_dims):
            raise ShapeError(f"{attrs.inner_dims} names a dimension twice")
        for axis, tile in zip(attrs.inner_dims, attrs.inner_tiles, strict=True):
            require_axis(axis, len(shape))
            if tile < 1:
                raise ShapeError("inner tiles must be positive")
            if shape[axis] != DYNAMIC:
                shape[axis] = -(-shape[axis] // tile)
        return [shape[axis] for axis in attrs.outer_permutation] + list(attrs.inner_tiles)


ELEMENTWISE_OPS: dict[str, type] = {op.OPERATION_NAME: op for op in Graph.operations if issubclass(op, Elementwise)}
"""The classes of all elementwise ops, by op name."""

__all__ = [name for name in globals() if name.endswith("Op")] + ["ELEMENTWISE_OPS", "Graph"]
