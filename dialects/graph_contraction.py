"""The ops of the graph dialect that multiply and sum: matrix products, convolutions and attention."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from collections.abc import Sequence
from typing import TypeVar

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
)
from terrace.dialects.graph_base import (
    Operand,
    Result,
    Tensor,
    TensorOp,
    broadcast_shapes,
    image_axes,
    image_shape,
    product,
    require_equal,
    require_length,
    require_rank,
    require_same_type,
    widens,
    window_size,
)
from terrace.element_types import ELEMENT_TYPES
from terrace.mlir import DYNAMIC, ext, ir


class Contraction(TensorOp):
    """Sums of products of two operands of one element type, which is the result's, or that in which they are summed.

    That is f32 for bf16 and f16, whose sums are else rounded once, and i32 for i8. It holds the exact sum of up to
    131071 products (the table of element types says so); in i8 they wrap.
    """

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return require_same_type(types[:2])

    @classmethod
    def accepts(cls, inferred: ir.Type, declared: ir.Type, attrs: Attributes) -> bool:
        return inferred == declared or widens(inferred, declared)

    @staticmethod
    def terms(shapes: list[list[int]], attrs: Attributes) -> int:
        """How many products are summed for an element of the result, or DYNAMIC."""
        raise NotImplementedError

    def _check(self, tensors: list[ir.Value], operation: ir.Operation) -> None:
        super()._check(tensors, operation)
        element_type, result = element_type_of(tensors[0]), element_type_of(operation.results[0])
        if element_type == result:
            return
        limit = ELEMENT_TYPES[str(element_type)].exact_products
        terms = self.terms([shape_of(v) for v in tensors], attributes_of(operation))
        if limit is not None and terms > limit:
            raise ShapeError(
                f"sums {terms} products of {element_type}, which may overflow {result}: {limit} is the limit"
            )


class MatmulOp(Contraction, name="matmul", traits=[ext.Pure]):
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

    @staticmethod
    def terms(shapes: list[list[int]], attrs: Attributes) -> int:
        return shapes[0][-1]


class BatchMatmulOp(Contraction, name="batch_matmul", traits=[ext.Pure]):
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

    @staticmethod
    def terms(shapes: list[list[int]], attrs: Attributes) -> int:
        return shapes[0][-1]


class Conv2dOp(Contraction, name="conv2d", traits=[ext.Pure]):
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

    @staticmethod
    def terms(shapes: list[list[int]], attrs: Attributes) -> int:
        return product(shapes[1][1:])


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


T = TypeVar("T")

RESULT = 3
"""The number of attention's result in `inner_heads`."""


def heads_moved(shape: Sequence[T]) -> list[T]:
    """[b..., h, l, e] as [b..., l, h, e], and the other way round."""
    *batch, first, second, last = shape
    return [*batch, second, first, last]


class AttentionOp(TensorOp, name="attention", traits=[ext.Pure]):
    """softmax(query * key^T * scale + mask) * value, over the last two dimensions.

    query is [b..., h, l, e], key [b..., g, s, e], value [b..., g, s, v]. Of h heads, h / g in a row share one of key
    and value (grouped queries); numbers that are not both known are equal. `mask`, if given, is additive, of the
    result's element type, and broadcasts to [b..., h, l, s]. With `is_causal`, row i sees columns up to i only
    (PyTorch's top-left mask).

    An attribute `inner_heads`, if there is one, lists the tensors whose heads follow their rows, [b..., l, h, e]: 0 is
    the query, 1 the key, 2 the value, 3 the result.
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
        query, key, value = AttentionOp.outer_shapes(shapes[:3], attrs)
        fit = 3 <= len(query) == len(key) and compatible(query[:-3], key[:-3]) and compatible(key[:-2], value[:-2])
        if not fit or AttentionOp.heads_per_key(query, key) == 0:
            raise ShapeError(f"batch sizes differ: {', '.join(map(format_shape, shapes[:3]))}")
        require_equal("widths of query and key", query[-1], key[-1])
        require_equal("lengths of key and value", key[-2], value[-2])
        scores = [*query[:-1], key[-2]]
        for mask in shapes[3:]:
            if not compatible(broadcast_shapes([mask, scores]), scores):
                raise ShapeError(f"a mask of {format_shape(mask)} does not broadcast to scores {format_shape(scores)}")
        result = [*query[:-1], value[-1]]
        return heads_moved(result) if RESULT in AttentionOp.inner_heads(attrs) else result

    @staticmethod
    def inner_heads(attrs: Attributes) -> list[int]:
        """Which of query, key, value and result, by number, have their heads after their rows."""
        numbers = attrs.get("inner_heads", [])
        if any(number not in range(4) for number in numbers):
            raise ShapeError(f"attribute 'inner_heads' must list numbers from 0 to 3, got {numbers}")
        return list(numbers)

    @staticmethod
    def outer_shapes(shapes: Sequence[list[int]], attrs: Attributes) -> list[list[int]]:
        """The shapes of query, key and value (and result), as if all had their heads before their rows."""
        if any(len(shape) < 3 for shape in shapes):
            raise ShapeError(f"batch sizes differ: {', '.join(map(format_shape, shapes))}")
        inner = AttentionOp.inner_heads(attrs)
        return [heads_moved(shape) if number in inner else list(shape) for number, shape in enumerate(shapes)]

    @staticmethod
    def heads_per_key(query: Sequence[int], key: Sequence[int]) -> int:
        """How many heads share one of the key; 0 if that is no whole number. The shapes are those of `outer_shapes`."""
        heads, own = query[-3], key[-3]
        if DYNAMIC in (heads, own) or heads == own:
            return 1
        return heads // own if own and heads % own == 0 else 0
