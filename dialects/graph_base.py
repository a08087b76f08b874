"""What the op classes of the graph dialect share: the dialect, ops on tensors, elementwise ops, and rules of shapes."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
import math
from collections.abc import Sequence
from typing import Any

from terrace.dialects.base import (
    Attributes,
    ShapeError,
    attributes_of,
    compatible,
    element_type_of,
    format_shape,
    shape_of,
    to_attribute,
    verify,
)
from terrace.element_types import ELEMENT_TYPES
from terrace.mlir import DYNAMIC, ext, ir

Tensor = ir.RankedTensorType
Operand = ext.Operand
Result = ext.Result


class Graph(ext.Dialect, name="graph"):
    """The namespace `graph.`"""


Inferred = tuple[list[int] | None, ir.Type | None]
"""The shape and the element type of a result; None for what its declared type decides."""


class TensorOp(Graph.Operation):
    """An op on tensors. Subclasses state their shape rule in `infer` (and `infer_element_type`).

    One of several results states them all in `infer_results` instead, and is made by `build_results`.
    """

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        """The result's shape from the operands' shapes, or None when the declared type decides. Raises ShapeError."""
        return None

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        """The result's element type from the operands'; the first operand's unless overridden."""
        return types[0] if types else None

    @classmethod
    def accepts(cls, inferred: ir.Type, declared: ir.Type, attrs: Attributes) -> bool:
        """Whether a result may be declared with an element type where another, or the same, is inferred."""
        return inferred == declared

    @classmethod
    def infer_results(cls, shapes: list[list[int]], types: list[ir.Type], attrs: Attributes) -> list[Inferred]:
        """What is known of each result from the operands' shapes and element types. Raises ShapeError."""
        return [(cls.infer(shapes, attrs), cls.infer_element_type(types, attrs))]

    @classmethod
    def build(cls, *operands: ir.Value, result_type: ir.Type | None = None, **attributes: Any) -> ir.Value:
        """Create the op at the current insertion point, its result type inferred unless given; returns the result."""
        result_types = None if result_type is None else [result_type]
        (result,) = cls.build_results(*operands, result_types=result_types, **attributes)
        return result

    @classmethod
    def build_results(
        cls, *operands: ir.Value, result_types: Sequence[ir.Type] | None = None, **attributes: Any
    ) -> list[ir.Value]:
        """`build` for an op of any number of results."""
        if result_types is None:
            types = [element_type_of(v) for v in operands]
            inferred = cls.infer_results([shape_of(v) for v in operands], types, Attributes(attributes))
            assert all(None not in result for result in inferred), f"{cls.__name__} needs result types"
            result_types = [ir.RankedTensorType.get(*result) for result in inferred]
        operation = ir.Operation.create(
            cls.OPERATION_NAME,
            results=list(result_types),
            operands=list(operands),
            attributes={name: to_attribute(value) for name, value in attributes.items()},
        )
        return list(operation.results)

    def verify_invariants(self) -> bool:
        operation = self.operation
        tensors = [v for v in operation.operands if isinstance(v.type, ir.RankedTensorType)]
        return verify(self, lambda: self._check(tensors, operation))

    def _check(self, tensors: list[ir.Value], operation: ir.Operation) -> None:
        attrs = attributes_of(operation)
        types = [element_type_of(v) for v in tensors]
        inferred = self.infer_results([shape_of(v) for v in tensors], types, attrs)
        for number, (result, (shape, element_type)) in enumerate(zip(operation.results, inferred, strict=True)):
            name = "result" if len(inferred) == 1 else f"result {number}"
            if shape is not None and not compatible(shape, shape_of(result)):
                raise ShapeError(f"{name} has shape {format_shape(shape_of(result))}, expected {format_shape(shape)}")
            if element_type is not None and not self.accepts(element_type, element_type_of(result), attrs):
                raise ShapeError(f"{name} has element type {element_type_of(result)}, expected {element_type}")


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


def product(sizes: Sequence[int]) -> int:
    """The product of sizes; DYNAMIC if any is."""
    return DYNAMIC if DYNAMIC in sizes else math.prod(sizes)


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


def widens(inferred: ir.Type, declared: ir.Type) -> bool:
    """Whether sums are declared to be of the type in which they are made: i32 for i8, f32 for bf16 and f16."""
    row = ELEMENT_TYPES.get(str(inferred))
    return row is not None and row.sums_in == str(declared)


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
