"""The graph dialect: WHAT is computed, as a pure DAG of named tensor operations.

Values are ranked tensors; a size may be `?` everywhere. Operands of elementwise ops broadcast by NumPy's rules
(aligned at the last dimension, size 1 stretches). Weights keep PyTorch's logical order whatever layout the schedule
chooses later. Every op has a conversion to linalg (`convert-graph-to-linalg`), which is its reference.
"""

# ruff: noqa: F401 (the ops of all files of the dialect are found here)

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from collections.abc import Sequence
from typing import Any

from terrace.dialects.base import Attributes, Bool, I64Array, ShapeError, compatible, format_shape, require, verify
from terrace.dialects.graph_base import (
    Elementwise,
    Graph,
    Operand,
    Result,
    Tensor,
    TensorOp,
    broadcast_shapes,
    image_axes,
    image_shape,
    pool_shape,
    require_axis,
    require_equal,
    require_length,
    require_rank,
    widens,
    window_size,
)
from terrace.dialects.graph_contraction import (
    AttentionOp,
    BatchMatmulOp,
    Conv2dOp,
    ConvTranspose2dOp,
    MatmulOp,
)
from terrace.dialects.graph_elementwise import (
    AbsOp,
    AddOp,
    CastOp,
    CeilOp,
    CompareOp,
    CopysignOp,
    CosOp,
    DivOp,
    ErfOp,
    Expm1Op,
    ExpOp,
    FloorOp,
    FmodOp,
    GeluOp,
    HardsigmoidOp,
    HardswishOp,
    Log1pOp,
    LogOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    NegOp,
    PowOp,
    ReluOp,
    RsqrtOp,
    SelectOp,
    ShiftLeftOp,
    ShiftRightOp,
    SigmoidOp,
    SiluOp,
    SinOp,
    SqrtOp,
    SubOp,
    TanhOp,
)
from terrace.dialects.graph_fourier import RootsOfUnityOp
from terrace.dialects.graph_quantized import (
    DequantizeOp,
    IntegerLayerNormOp,
    IntegerSoftmaxOp,
    LookupOp,
    QuantizeOp,
    RequantizeOp,
    ScaledAddOp,
    SumPool2dOp,
)
from terrace.dialects.graph_random import RandomBitsOp
from terrace.mlir import DYNAMIC, ext, ir

# ---------------------------------------------------------------------------------------------------------------------
# Values that outlive a call
# ---------------------------------------------------------------------------------------------------------------------


def _check_declared_type(operation: ir.Operation) -> None:
    type_ = ir.TypeAttr(operation.attributes["type"]).value
    require(isinstance(type_, Tensor) and DYNAMIC not in type_.shape, f"must have a static tensor type, got {type_}")


class ParameterOp(Graph.Operation, name="parameter"):
    """A weight, known by its key in the model's parameter archive. A symbol at module level, of tensor type `type`.

    Passes never read its elements. Tied weights are one parameter.
    """

    sym_name: ir.StringAttr
    type: ir.TypeAttr

    def verify_invariants(self) -> bool:
        return verify(self, lambda: _check_declared_type(self.operation))


class ConstantOp(Graph.Operation, name="constant", traits=[ir.IsIsolatedFromAboveTrait]):
    """A constant expression over parameters: a symbol at module level whose body yields its value.

    The body holds graph ops over `graph.load` of other symbols. It is evaluated once, when the artefact is written.
    """

    sym_name: ir.StringAttr
    type: ir.TypeAttr
    body: ext.Region

    def verify_invariants(self) -> bool:
        return verify(self, lambda: _check_declared_type(self.operation))


class StateOp(Graph.Operation, name="state"):
    """A mutable buffer of the program: a symbol at module level, starting as a copy of the parameter `initial`."""

    sym_name: ir.StringAttr
    type: ir.TypeAttr
    initial: ir.FlatSymbolRefAttr

    def verify_invariants(self) -> bool:
        return verify(self, lambda: _check_declared_type(self.operation))


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
    """Reduces `axes` (ascending) by `kind`: sum, mean, max, min (NaN propagates) or prod; `keepdims` leaves a 1.

    The result of a sum of i8 may be i32, which holds it exactly up to 2^24 terms; else it has the type of the input.
    """

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

    @classmethod
    def accepts(cls, inferred: ir.Type, declared: ir.Type, attrs: Attributes) -> bool:
        return inferred == declared or (attrs.kind == "sum" and widens(inferred, declared))


class EmbeddingOp(TensorOp, name="embedding", traits=[ext.Pure]):
    """Rows of `table` picked by integer `indices` [...]: [..., width]. Out of range is undefined.

    `table` is [rows, width], or [blocks, width, rows of a block] as graph.pack makes it of that.
    """

    table: Operand[Tensor]
    indices: Operand[Tensor]
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        if len(shapes[0]) not in (2, 3):
            raise ShapeError(f"table must have rank 2, or 3 for blocks of rows, got {format_shape(shapes[0])}")
        return [*shapes[1], shapes[0][1]]


class ArgsortOp(TensorOp, name="argsort", traits=[ext.Pure]):
    """Places (i64) of the elements of `input` in order along `axis`: stable; NaN is larger than any number."""

    input: Operand[Tensor]
    axis: ir.IntegerAttr
    descending: Bool
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        require_axis(attrs.axis, len(shapes[0]))
        return shapes[0]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return ir.IntegerType.get_signless(64)


class ArgScanOp(TensorOp, name="arg_scan", traits=[ext.Pure]):
    """Places (i64) of the extreme among the elements up to each one along `axis`: the last of equal ones, NaN first.

    `kind` is max or min.
    """

    input: Operand[Tensor]
    axis: ir.IntegerAttr
    kind: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        require_axis(attrs.axis, len(shapes[0]))
        if attrs.kind not in ("max", "min"):
            raise ShapeError(f"unknown kind '{attrs.kind}', expected max or min")
        return shapes[0]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return ir.IntegerType.get_signless(64)


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
    """`lhs`, then `rhs`, along `axis`. `build` takes any number of tensors, and makes a tree of them.

    In a chain, what comes first would be copied again and again, and IREE's analysis of memory gives a long one up.

    Two operands, not a variadic: the bindings demand one type of all values of a variadic operand.
    """

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    axis: ir.IntegerAttr
    result: Result[Tensor]

    @classmethod
    def build(cls, *operands: ir.Value, result_type: ir.Type | None = None, **attributes: Any) -> ir.Value:
        """The concatenation of one or more tensors; `result_type` is the type of the whole."""
        if len(operands) == 1:
            return operands[0]
        middle = (len(operands) + 1) // 2
        halves = [cls.build(*half, **attributes) for half in (operands[:middle], operands[middle:])]
        return super().build(*halves, result_type=result_type, **attributes)

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
