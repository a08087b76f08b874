"""Ops of the graph dialect that move elements and compute nothing."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from collections.abc import Sequence
from typing import Any

from terrace.dialects.base import Attributes, I64Array, ShapeError, compatible, format_shape
from terrace.dialects.graph_base import (
    Operand,
    Result,
    Tensor,
    TensorOp,
    broadcast_shapes,
    require_axis,
    require_equal,
    require_length,
)
from terrace.mlir import DYNAMIC, ext, ir


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
    """`low` and `high` elements equal to `value`, a whole number for integers, before and after each dimension."""

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


BORDERS = ("reflect", "replicate", "circular")
"""Where the elements of a border come from: mirrored at the outermost element, that one again, or the other end."""


class BorderPadOp(TensorOp, name="border_pad", traits=[ext.Pure]):
    """`low` and `high` elements of the input itself before and after each dimension, as torch's padding modes.

    A border that takes more elements than there are is undefined: for "reflect" it has fewer than the dimension, for
    "circular" no more, and for "replicate" the dimension has one.
    """

    input: Operand[Tensor]
    low: I64Array
    high: I64Array
    mode: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        (shape,) = shapes
        if attrs.mode not in BORDERS:
            raise ShapeError(f"unknown mode '{attrs.mode}', expected one of {', '.join(BORDERS)}")
        result = PadOp.infer(shapes, attrs)
        for axis, (size, low, high) in enumerate(zip(shape, attrs.low, attrs.high, strict=True)):
            most = {"reflect": size - 1, "circular": size}.get(attrs.mode, max(low, high) if size else 0)
            if size != DYNAMIC and max(low, high) > max(most, 0):
                raise ShapeError(
                    f"a border of {max(low, high)} takes more elements than dimension {axis} of {size} has"
                )
        return result


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
