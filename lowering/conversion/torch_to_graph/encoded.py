"""Weights that torchao quantised: integers in groups, with scales and zero points, become encoded tensors."""

from __future__ import annotations

from terrace.dialects import graph
from terrace.dialects.base import element_type_of, shape_of
from terrace.dialects.encodings import Int4Groups, Int8Groups, IntegerGroups
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.conversion.torch_to_graph.torch_op import TorchOp, cast, converts, is_float, reshape, scalar
from terrace.mlir import DYNAMIC, ir

I8 = "i8"


@converts("torch.torchao.dequantize_affine")
def build_dequantize_affine(op: TorchOp) -> ir.Value | None:
    """(q - z) * s, with one scale s and one zero point z for each block of `block_size`."""
    codes, block, scale = op.tensor(0), op.integers(1), op.tensor(2)
    zero = op.optional_tensor(3)
    if block is None or DYNAMIC in shape_of(codes) or len(block) != len(shape_of(codes)):
        raise op.refuse("has blocks, or a tensor, of a size that is known at run time only")
    if zero is not None and 0 in shape_of(zero):
        zero = None  # torchao's way to say that there is none
    encoding = _encoding(op, codes, block, scale, zero)
    if encoding is None:
        return _composed(op, codes, block, scale, zero)
    _, (sizes, type_), *_ = encoding.storage(shape_of(codes))
    beside = [cast(reshape(v, sizes), ir.Type.parse(type_)) for v in (scale, zero) if v is not None]
    packed = _packed(codes, encoding.axis) if encoding.per_byte > 1 else codes
    return graph.DecodeOp.of([packed, *beside], encoding, op.result_type)


def _encoding(
    op: TorchOp, codes: ir.Value, block: list[int], scale: ir.Value, zero: ir.Value | None
) -> IntegerGroups | None:
    """The encoding of int8 in whole groups along the last axis; None for other forms."""
    shape, axis = shape_of(codes), len(block) - 1
    bytes_ = [value for value in (codes, zero) if value is not None]
    scale_type = ELEMENT_TYPES[str(element_type_of(scale))]
    is_bytes = all(str(element_type_of(value)) == I8 for value in bytes_)
    if not (is_bytes and is_float(op.result_element_type) and scale_type.computes_in == "f32") or 0 in shape:
        return None
    if axis < 0 or set(block[:-1]) - {1} or shape[axis] % block[-1]:
        return None
    low, high = op.integer(5), op.integer(6)
    is_int4 = low is not None and high is not None and low >= -8 and high <= 7 and shape[axis] % 2 == 0
    bits = 16 if scale_type.name == "bf16" else 32
    return (Int4Groups if is_int4 else Int8Groups)(axis, block[-1], int(zero is not None), bits)


def _packed(codes: ir.Value, axis: int) -> ir.Value:
    """Neighbours along an axis of even size, of 4 bits each, in one byte: the second above the first."""
    four, (low, high) = scalar(4, element_type_of(codes)), (_every_second(codes, axis, first) for first in (0, 1))
    # low and 15: what its multiple of 16 leaves.
    rest = graph.SubOp.build(low, graph.ShiftLeftOp.build(graph.ShiftRightOp.build(low, four), four))
    return graph.AddOp.build(graph.ShiftLeftOp.build(high, four), rest)


def _every_second(value: ir.Value, axis: int, first: int) -> ir.Value:
    shape = shape_of(value)
    starts, steps = [0] * len(shape), [1] * len(shape)
    starts[axis], steps[axis] = first, 2
    return graph.SliceOp.build(value, starts=starts, stops=shape, steps=steps)


def _composed(op: TorchOp, codes: ir.Value, block: list[int], scale: ir.Value, zero: ir.Value | None) -> ir.Value:
    """The definition itself, in f32."""
    shape, f32 = shape_of(codes), ir.F32Type.get()
    split = [size for total, part in zip(shape, block, strict=True) for size in (total // part, part)]
    once = [size if i % 2 == 0 else 1 for i, size in enumerate(split)]
    value = cast(reshape(codes, split), f32)
    if zero is not None:
        value = graph.SubOp.build(value, cast(reshape(zero, once), f32))
    value = graph.MulOp.build(value, cast(reshape(scale, once), f32))
    return cast(reshape(value, shape), op.result_element_type)
