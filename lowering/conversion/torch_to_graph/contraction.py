"""Torch ops that multiply and sum: linear, matrix products, convolutions, attention."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from terrace.dialects import graph
from terrace.dialects.base import Attributes, attributes_of, compatible, element_type_of, shape_of
from terrace.dialects.graph_base import broadcast_shapes
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.conversion.torch_to_graph.torch_op import (
    TorchOp,
    cast,
    converts,
    dim,
    drop_axes,
    insert_axis,
    is_bool,
    is_float,
    permute,
    reshape,
    scalar,
)
from terrace.lowering.graph.builders import repeat_heads
from terrace.mlir import DYNAMIC, arith, ir, operation_of, tensor
from terrace.mlir import math as math_ops

# ---------------------------------------------------------------------------------------------------------------------
# Matrix products
# ---------------------------------------------------------------------------------------------------------------------


@converts("torch.aten.linear")
def build_linear(op: TorchOp) -> ir.Value | None:
    """A weight of rank 1 is the only output's, whose axis is then left out."""
    lhs, weight, bias = op.tensor(0), op.tensor(1), op.optional_tensor(2)
    if len(shape_of(weight)) == 1:
        product = matmul(lhs, weight)
        assert product is not None, "PyTorch wants one element type, and a vector has no batch sizes"
    else:
        is_vector = len(shape_of(lhs)) == 1
        matrix = insert_axis(lhs, 0) if is_vector else lhs
        product = contraction(graph.MatmulOp, matrix, weight, transpose_rhs=True)
        product = drop_axes(product, [0]) if is_vector else product
    return product if bias is None else graph.AddOp.build(product, bias)


@converts("torch.aten.mm", "torch.aten.bmm", "torch.aten.matmul")
def build_matmul(op: TorchOp) -> ir.Value | None:
    return matmul(op.tensor(0), op.tensor(1))


@converts("torch.aten._int_mm")
def build_integer_matmul(op: TorchOp) -> ir.Value | None:
    """int8 times int8, summed in int32."""
    lhs, rhs = op.tensor(0), op.tensor(1)
    return graph.MatmulOp.build(lhs, rhs, transpose_rhs=False, result_type=op.result_type)


@converts("torch.aten.addmm", "torch.aten.baddbmm")
def build_addmm(op: TorchOp) -> ir.Value | None:
    """beta * input + alpha * (lhs @ rhs)."""
    beta, alpha = op.number(3), op.number(4)
    product = matmul(op.tensor(1), op.tensor(2))
    if product is None or beta is None or alpha is None:
        return None
    terms = [(product, alpha), (op.tensor(0), beta)]
    scaled = [
        term if factor == 1 else graph.MulOp.build(term, scalar(factor, element_type_of(term)))
        for term, factor in terms
        if factor != 0
    ]
    return graph.AddOp.build(*scaled) if len(scaled) == 2 else None


def contraction(op_class: type[graph.TensorOp], lhs: ir.Value, rhs: ir.Value, **attrs: object) -> ir.Value:
    """The op on two operands of one type; integers below 32 bits are summed in 32, whose last bits are the result."""
    element_type = element_type_of(lhs)
    lhs, rhs = narrowed(op_class, lhs, rhs, attrs)
    if is_float(element_type) or element_type_of(lhs).width >= 32:
        return op_class.build(lhs, rhs, **attrs)
    wide = ir.IntegerType.get_signless(32)
    if element_type_of(lhs).width != 8:
        lhs, rhs = cast(lhs, wide), cast(rhs, wide)
    shape = op_class.infer([shape_of(lhs), shape_of(rhs)], Attributes(attrs))
    product = op_class.build(lhs, rhs, result_type=ir.RankedTensorType.get(shape, wide), **attrs)
    return cast(product, element_type)


def narrowed(
    op_class: type[graph.TensorOp], lhs: ir.Value, rhs: ir.Value, attrs: Mapping[str, object]
) -> tuple[ir.Value, ir.Value]:
    """The operands of a sum in int32; as int8 where they were before a cast and all sums are exact."""
    made = [operation_of(value) for value in (lhs, rhs)]
    sources = [op.operands[0] for op in made if op is not None and op.name == graph.CastOp.OPERATION_NAME]
    byte, wide = (ir.IntegerType.get_signless(width) for width in (8, 32))
    if len(sources) < 2 or element_type_of(lhs) != wide or any(element_type_of(value) != byte for value in sources):
        return lhs, rhs
    terms = op_class.terms([shape_of(value) for value in sources], Attributes(dict(attrs)))
    limit = ELEMENT_TYPES[str(byte)].exact_products
    is_exact = limit is not None and terms != DYNAMIC and terms <= limit
    return (sources[0], sources[1]) if is_exact else (lhs, rhs)


def matmul(lhs: ir.Value, rhs: ir.Value) -> ir.Value | None:
    """torch.matmul: a vector is a matrix of one row on the left, of one column on the right."""
    if element_type_of(lhs) != element_type_of(rhs):
        return None
    is_row, is_column = len(shape_of(lhs)) == 1, len(shape_of(rhs)) == 1
    product = matrix_product(insert_axis(lhs, 0) if is_row else lhs, insert_axis(rhs, 1) if is_column else rhs)
    if product is None or not (is_row or is_column):
        return product
    rank = len(shape_of(product))
    return drop_axes(product, [rank - 2] * is_row + [rank - 1] * is_column)


def matrix_product(lhs: ir.Value, rhs: ir.Value) -> ir.Value | None:
    """torch.matmul where both have rank 2 or more; a transposed `rhs` is folded into the product."""
    source = transposed_source(rhs)
    rhs, transpose_rhs = (rhs, False) if source is None else (source, True)
    if len(shape_of(rhs)) == 2:
        return contraction(graph.MatmulOp, lhs, rhs, transpose_rhs=transpose_rhs)
    batches = shape_of(lhs)[:-2], shape_of(rhs)[:-2]
    if not compatible(*batches):
        batch = broadcast_shapes(batches)
        if DYNAMIC in batch:
            return None
        lhs, rhs = (broadcast_batch(value, batch) for value in (lhs, rhs))
    return contraction(graph.BatchMatmulOp, lhs, rhs, transpose_rhs=transpose_rhs)


def transposed_source(value: ir.Value) -> ir.Value | None:
    """The value of which `value` is the transpose in its last two dimensions, if a permute made it so."""
    made = operation_of(value)
    if made is None or made.name != graph.PermuteOp.OPERATION_NAME:
        return None
    rank = len(shape_of(value))
    is_transpose = attributes_of(made).permutation == [*range(rank - 2), rank - 1, rank - 2]
    return made.operands[0] if is_transpose else None


def broadcast_batch(value: ir.Value, batch: Sequence[int]) -> ir.Value:
    """`value` with its batch dimensions stretched to the static sizes `batch`."""
    shape = [*batch, *shape_of(value)[-2:]]
    if shape == shape_of(value):
        return value
    rank = len(shape_of(value))
    sizes = [dim(value, rank - 2 + i) for i, size in enumerate(shape[-2:]) if size == DYNAMIC]
    type_ = ir.RankedTensorType.get(shape, element_type_of(value))
    return graph.BroadcastOp.build(value, *sizes, result_type=type_)


# ---------------------------------------------------------------------------------------------------------------------
# Convolution
# ---------------------------------------------------------------------------------------------------------------------


@converts("torch.aten.convolution")
def build_convolution(op: TorchOp) -> ir.Value | None:
    """A 1-D convolution is a 2-D one of height 1."""
    image, weight = op.tensor(0), op.tensor(1)
    lists = [op.integers(index) for index in (3, 4, 5, 7)]
    groups = op.integer(8)
    rank = len(shape_of(image))
    if rank == 5 and not is_float(element_type_of(image)):
        raise op.refuse("is not supported in 3 dimensions on integers: convert them to float first")
    if rank not in (3, 4) or groups is None:
        return None
    spatial = rank - 2
    strides, padding, dilations, output_padding = (
        None if values is None else values * spatial if len(values) == 1 else values for values in lists
    )
    if strides is None or padding is None or dilations is None or output_padding is None:
        return None
    if rank == 3:
        image, weight = insert_axis(image, 2), insert_axis(weight, 2)
        strides, dilations = [1, *strides], [1, *dilations]
        padding, output_padding = [0, *padding], [0, *output_padding]
    if op.flag(6):
        result = graph.ConvTranspose2dOp.build(
            image,
            weight,
            strides=strides,
            padding=padding,
            output_padding=output_padding or [0, 0],
            dilations=dilations,
            groups=groups,
            layout="NCHW",
        )
    else:
        sides = [padding[0], padding[0], padding[1], padding[1]]
        attrs = {"strides": strides, "padding": sides, "dilations": dilations, "groups": groups, "layout": "NCHW"}
        result = contraction(graph.Conv2dOp, image, weight, **attrs)
    return add_channel_bias(drop_axes(result, [2]) if rank == 3 else result, op.optional_tensor(2))


def add_channel_bias(value: ir.Value, bias: ir.Value | None) -> ir.Value:
    """`value` plus a `bias` per channel (dimension 1)."""
    if bias is None:
        return value
    trailing = len(shape_of(value)) - 2
    channels = shape_of(bias)[0]
    sizes = [dim(bias, 0)] if channels == DYNAMIC else []
    return graph.AddOp.build(value, reshape(bias, [channels, *[1] * trailing], sizes))


# ---------------------------------------------------------------------------------------------------------------------
# Attention
# ---------------------------------------------------------------------------------------------------------------------


@converts("torch.aten.scaled_dot_product_attention")
def build_attention(op: TorchOp) -> ir.Value | None:
    operands = [op.tensor(index) for index in (0, 1, 2)]
    rank = max(3, *(len(shape_of(operand)) for operand in operands))
    is_matrix = len(op.result_shape) < rank
    width = shape_of(operands[0])[-1]
    if op.number(4) != 0:
        return None
    query, key, value = (with_rank(operand, rank) for operand in operands)
    if not op.is_none(6):
        scale = op.number(6)
    elif width != DYNAMIC:
        scale = 1 / math.sqrt(width)
    else:
        query, scale = graph.MulOp.build(query, inverse_root(dim(query, rank - 1), element_type_of(query))), 1
    if scale is None:
        return None
    heads, *own = (shape_of(operand)[-3] for operand in (query, key, value))
    if op.flag(7):
        if DYNAMIC in (heads, *own) or any(heads % number for number in own):
            return None
        if own[0] != own[1]:
            key, value = (repeat_heads(operand, heads) for operand in (key, value))
            own = [heads, heads]
    # Heads that share a key are the op's matter; all other dimensions of size 1 are repeated.
    is_grouped = own[0] == own[1] != DYNAMIC and heads > own[0]
    query, key, value = with_same_batch([query, key, value], rank - (3 if is_grouped else 2))
    mask = additive_mask(op, 3, element_type_of(query))
    result_type = None if is_matrix else op.result_type
    result = graph.AttentionOp.build(
        query, key, value, *mask, scale=float(scale), is_causal=op.flag(5), result_type=result_type
    )
    result = zero_where_excluded(result, mask[0]) if mask else result
    return drop_axes(result, [0]) if is_matrix else result


def zero_where_excluded(result: ir.Value, mask: ir.Value) -> ir.Value:
    """`result` with zeros in the rows that `mask` excludes wholly, as PyTorch has it; a softmax has NaN there."""
    element_type = element_type_of(mask)
    largest = graph.ReduceOp.build(mask, axes=[len(shape_of(mask)) - 1], kind="max", keepdims=True)
    visible = graph.CompareOp.build(largest, scalar(-math.inf, element_type), predicate="ne")
    return graph.SelectOp.build(visible, result, scalar(0, element_type), result_type=result.type)


def inverse_root(size: ir.Value, element_type: ir.Type) -> ir.Value:
    """1 / sqrt(size), of a size known when the program runs, as a tensor of rank 0."""
    number = arith.sitofp(element_type, arith.index_cast(ir.IntegerType.get_signless(64), size))
    inverse = arith.divf(arith.constant(element_type, 1.0), math_ops.sqrt(number))
    return tensor.from_elements(ir.RankedTensorType.get([], element_type), [inverse])


def with_rank(value: ir.Value, rank: int) -> ir.Value:
    """`value` with dimensions of size 1 put before its own."""
    for _ in range(rank - len(shape_of(value))):
        value = insert_axis(value, 0)
    return value


def with_same_batch(operands: Sequence[ir.Value], count: int) -> list[ir.Value]:
    """The operands, those of their first `count` dimensions that have size 1 stretched to those of the others."""
    stretched = list(operands)
    for axis in range(count):
        wide = [operand for operand in stretched if shape_of(operand)[axis] != 1]
        if wide:
            known = next((operand for operand in wide if shape_of(operand)[axis] != DYNAMIC), wide[0])
            stretched = [operand if operand in wide else stretch(operand, axis, known) for operand in stretched]
    return stretched


def stretch(value: ir.Value, axis: int, like: ir.Value) -> ir.Value:
    """`value`, of size 1 along `axis`, repeated to the size of `like` there."""
    shape = shape_of(value)
    shape[axis] = shape_of(like)[axis]
    sizes = [dim(like if i == axis else value, i) for i, size in enumerate(shape) if size == DYNAMIC]
    return graph.BroadcastOp.build(value, *sizes, result_type=ir.RankedTensorType.get(shape, element_type_of(value)))


def additive_mask(op: TorchOp, index: int, element_type: ir.Type) -> list[ir.Value]:
    """The operand as an additive mask, or nothing; where a mask of truth values is 0, minus infinity."""
    if op.is_none(index):
        return []
    mask = op.tensor(index)
    if not is_bool(element_type_of(mask)):
        return [cast(mask, element_type)]
    return [graph.SelectOp.build(mask, scalar(0, element_type), scalar(-math.inf, element_type))]


@converts("torch.aten.t")
def build_transpose(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    return permute(value, [1, 0]) if len(shape_of(value)) == 2 else value
