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
    BitcastOp,
    BitwiseAndOp,
    BitwiseOrOp,
    BitwiseXorOp,
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
    RoundOp,
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
from terrace.dialects.graph_encoded import DecodeOp, EncodedMatmulOp, EncodeOp
from terrace.dialects.graph_fourier import RootsOfUnityOp
from terrace.dialects.graph_indexed import GatherOp, ResampleOp, ScatterOp
from terrace.dialects.graph_moves import (
    BorderPadOp,
    BroadcastOp,
    ConcatOp,
    PackOp,
    PadOp,
    PermuteOp,
    ReshapeOp,
    SliceOp,
)
from terrace.dialects.graph_ordered import ArgScanOp, ArgsortOp, ScanOp, TopkOp
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
from terrace.mlir import DYNAMIC, ext, ir, operation_of

# ---------------------------------------------------------------------------------------------------------------------
# Values that outlive a call
# ---------------------------------------------------------------------------------------------------------------------


def _check_declared_type(operation: ir.Operation) -> None:
    type_ = ir.TypeAttr(operation.attributes["type"]).value
    require(isinstance(type_, Tensor) and DYNAMIC not in type_.shape, f"must have a static tensor type, got {type_}")


def _check_yield(operation: ir.Operation, types: list[ir.Type]) -> None:
    """Whether the body ends in a `graph.yield` of values of these types."""
    blocks = list(operation.regions[0].blocks)
    last = list(blocks[0].operations)[-1:] if len(blocks) == 1 else []
    require(bool(last) and last[0].operation.name == "graph.yield", "must have one block, which ends in graph.yield")
    given = [value.type for value in last[0].operation.operands]
    text = [", ".join(map(str, kinds)) or "nothing" for kinds in (given, types)]
    require(given == types, f"yields {text[0]}, where {text[1]} is declared")


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
    Several values are yielded as one tuple, by `builtin.unrealized_conversion_cast`, and loaded as `graph.part`s.
    """

    sym_name: ir.StringAttr
    type: ir.TypeAttr
    body: ext.Region

    def verify_invariants(self) -> bool:
        return verify(self, self._check)

    def _check(self) -> None:
        type_ = ir.TypeAttr(self.operation.attributes["type"]).value
        if not isinstance(type_, ir.TupleType):
            _check_declared_type(self.operation)
        _check_yield(self.operation, [type_])


def types_in(type_: ir.Type) -> list[ir.Type]:
    """The types of the values in a tuple; of anything else itself."""
    if not isinstance(type_, ir.TupleType):
        return [type_]
    return [type_.get_type(number) for number in range(type_.num_types)]


class PartOp(Graph.Operation, name="part"):
    """Value `number`, from 0, of the tuple that the `graph.constant` named `constant` is: a symbol of its own."""

    sym_name: ir.StringAttr
    type: ir.TypeAttr
    constant: ir.FlatSymbolRefAttr
    number: ir.IntegerAttr

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
    """The value of a `graph.parameter`, `graph.constant` or `graph.part`. Pure: these never change."""

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
    """A group of ops that becomes one kernel. The body uses values from above freely and ends in `graph.yield`.

    It gives any number of its values. Those of several types are one tuple, inside and outside, which
    `builtin.unrealized_conversion_cast` makes and takes apart: the bindings bind the type of a variadic once.
    """

    results_: Sequence[Result[Any]]
    body: ext.Region

    def verify_invariants(self) -> bool:
        return verify(self, self._check)

    def _check(self) -> None:
        types = [value.type for value in self.operation.results]
        _check_yield(self.operation, types)
        if not any(isinstance(type_, ir.TupleType) for type_ in types):
            return
        require(len(types) == 1, "gives a tuple beside other results")
        made = operation_of(self.operation.regions[0].blocks[0].operations[-1].operation.operands[0])
        taken = [use.owner.operation for use in self.operation.results[0].uses]
        for cast, values in [(made, "operands"), *((user, "results") for user in taken)]:
            require(
                cast is not None
                and cast.name == "builtin.unrealized_conversion_cast"
                and [value.type for value in getattr(cast, values)] == types_in(types[0]),
                "gives a tuple, which builtin.unrealized_conversion_cast must make and take apart",
            )


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
    """(x - mean) / sqrt(var + epsilon) * scale + shift, mean and variance over each of `groups` groups of neighbouring
    channels, along `axis`, and all other dimensions but the first. `scale` and `shift` are of shape [channels].

    The variance is the biased one, computed from centred values (two passes).
    """

    input: Operand[Tensor]
    scale: Operand[Tensor]
    shift: Operand[Tensor]
    groups: ir.IntegerAttr
    epsilon: ir.FloatAttr
    axis: ir.IntegerAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        image = shapes[0]
        if not 1 <= attrs.axis < len(image):
            raise ShapeError(f"axis {attrs.axis} of the channels is out of range for {format_shape(image)}")
        channels = image[attrs.axis]
        if attrs.groups < 1 or (channels != DYNAMIC and channels % attrs.groups):
            raise ShapeError(f"{attrs.groups} groups do not divide the channels of {format_shape(image)}")
        for shape in shapes[1:3]:
            require_rank("scale and shift", shape, 1)
            require_equal("channels", shape[0], channels)
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

    The result of a sum may be of the type in which it is made: i32 for i8, exact up to 2^24 terms, f32 for bf16 and
    f16. Else it has the type of the input.
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


ELEMENTWISE_OPS: dict[str, type] = {op.OPERATION_NAME: op for op in Graph.operations if issubclass(op, Elementwise)}
"""The classes of all elementwise ops, by op name."""

__all__ = [name for name in globals() if name.endswith("Op")] + ["ELEMENTWISE_OPS", "Graph"]
