"""Torch ops that only move elements: reshapes, permutes, broadcasts, slices, concatenations, padding."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import element_type_of, shape_of
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.conversion.torch_to_graph.torch_op import (
    TorchOp,
    cast,
    constant_number,
    converts,
    dim,
    drop_axes,
    index_constant,
    insert_axis,
    is_bool,
    is_float,
    permute,
    reshape,
    scalar,
    to_index,
)
from terrace.mlir import DYNAMIC, arith, ir, tensor

# ---------------------------------------------------------------------------------------------------------------------
# Shapes
# ---------------------------------------------------------------------------------------------------------------------


@converts("torch.aten.view", "torch.aten.reshape", "torch.aten._unsafe_view", "torch.aten._reshape_alias")
def build_view(op: TorchOp) -> ir.Value | None:
    sizes = op.elements(1)
    if sizes is None or len(sizes) != len(op.result_shape):
        return None
    value = op.tensor(0)
    dynamic = [
        missing_size(value, sizes) if constant_number(size) == -1 else to_index(size)
        for size, known in zip(sizes, op.result_shape, strict=True)
        if known == DYNAMIC
    ]
    return reshape(value, op.result_shape, dynamic)


@converts("torch.aten.view.dtype")
def build_bitcast(op: TorchOp) -> ir.Value | None:
    """The bits of each element as another type of the same width."""
    value, result_type = op.tensor(0), op.result_type
    if result_type is None or width_of(element_type_of(value)) != width_of(op.result_element_type):
        return None
    if is_held_as_stored(element_type_of(value)) and is_held_as_stored(op.result_element_type):
        return graph.BitcastOp.build(value, result_type=result_type)
    return tensor.bitcast(result_type, value)


def is_held_as_stored(type_: ir.Type) -> bool:
    """Whether kernels hold numbers of a type in itself."""
    return ELEMENT_TYPES[str(type_)].computes_in == str(type_)


def width_of(type_: ir.Type) -> int:
    """How many bits an element takes."""
    width: int = (ir.IntegerType(type_) if isinstance(type_, ir.IntegerType) else ir.FloatType(type_)).width
    return width


def missing_size(value: ir.Value, sizes: Sequence[ir.Value]) -> ir.Value:
    """The size that -1 stands for in a view of `value` as `sizes`: the element count over the product of the others."""
    others = [to_index(size) for size in sizes if constant_number(size) != -1]
    return arith.divui(product([dim(value, axis) for axis in range(len(shape_of(value)))]), product(others))


def product(factors: Sequence[ir.Value]) -> ir.Value:
    result = index_constant(1)
    for factor in factors:
        result = arith.muli(result, factor)
    return result


@converts("torch.aten.flatten.using_ints")
def build_flatten(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    shape = shape_of(value)
    start, end = op.axis(1, len(shape)), op.axis(2, len(shape))
    if start is None or end is None or not shape:
        return None
    groups = [[axis] for axis in range(start)] + [[*range(start, end + 1)]]
    groups += [[axis] for axis in range(end + 1, len(shape))]
    sizes = [
        product([dim(value, axis) for axis in axes])
        for axes, size in zip(groups, op.result_shape, strict=True)
        if size == DYNAMIC
    ]
    return reshape(value, op.result_shape, sizes)


@converts("torch.aten.unsqueeze")
def build_unsqueeze(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    axis = op.axis(1, len(shape_of(value)) + 1)
    return None if axis is None else insert_axis(value, axis)


@converts("torch.aten.squeeze.dim", "torch.aten.squeeze.dims", "torch.prims.squeeze")
def build_squeeze(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    shape = shape_of(value)
    single = op.integer(1)
    axes = op.integers(1) if single is None else [single]
    if axes is None or not shape:
        return None
    dropped = [axis % len(shape) for axis in axes if shape[axis % len(shape)] == 1]
    return drop_axes(value, dropped) if len(shape) - len(dropped) == len(op.result_shape) else None


@converts("torch.aten.permute")
def build_permute(op: TorchOp) -> ir.Value | None:
    value, axes = op.tensor(0), op.integers(1)
    rank = len(shape_of(value))
    return None if axes is None else permute(value, [axis % rank for axis in axes]) if rank else value


@converts("torch.aten.transpose.int")
def build_transpose(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    rank = len(shape_of(value))
    first, second = op.axis(1, rank), op.axis(2, rank)
    if first is None or second is None or not rank:
        return None
    permutation = list(range(rank))
    permutation[first], permutation[second] = second, first
    return permute(value, permutation)


@converts("torch.aten.pixel_shuffle")
def build_pixel_shuffle(op: TorchOp) -> ir.Value | None:
    """[n, c * r * r, h, w] to [n, c, h * r, w * r]: split the channels, interleave, merge."""
    value, factor = op.tensor(0), op.integer(1)
    shape = shape_of(value)
    if factor is None or len(shape) != 4 or DYNAMIC in shape[1:]:
        return None
    batch, channels, height, width = shape
    sizes = [dim(value, 0)] if batch == DYNAMIC else []
    split = reshape(value, [batch, channels // factor**2, factor, factor, height, width], sizes)
    return reshape(permute(split, [0, 1, 4, 2, 5, 3]), op.result_shape, sizes)


@converts("torch.aten.expand", "torch.aten.broadcast_to")
def build_expand(op: TorchOp) -> ir.Value | None:
    value, sizes = op.tensor(0), op.elements(1)
    if sizes is None or len(sizes) != len(op.result_shape):
        return None
    if shape_of(value) == op.result_shape and DYNAMIC not in op.result_shape:
        return value
    new = len(sizes) - len(shape_of(value))
    dynamic = [
        dim(value, axis - new) if constant_number(size) == -1 else to_index(size)
        for axis, (size, known) in enumerate(zip(sizes, op.result_shape, strict=True))
        if known == DYNAMIC
    ]
    return graph.BroadcastOp.build(value, *dynamic, result_type=op.result_type)


# ---------------------------------------------------------------------------------------------------------------------
# Parts
# ---------------------------------------------------------------------------------------------------------------------


@converts("torch.aten.slice.Tensor")
def build_slice(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    shape = shape_of(value)
    axis = op.axis(1, len(shape))
    start = 0 if op.is_none(2) else op.integer(2)
    stop = 2**63 - 1 if op.is_none(3) else op.integer(3)
    step = op.integer(4)
    if axis is None or start is None or stop is None or step is None:
        return None
    size = shape[axis]
    if size == DYNAMIC:
        # Only the whole of a dynamic dimension is known to be inside it: PyTorch clamps the start, a slice cannot.
        return value if (start, stop, step) == (0, 2**63 - 1, 1) else None
    start, stop = (min(max(bound + size if bound < 0 else bound, 0), size) for bound in (start, stop))
    if (start, stop, step) == (0, size, 1):
        return value
    return slice_axis(value, axis, start, max(start, stop), step)


def slice_axis(value: ir.Value, axis: int, start: int, stop: int, step: int) -> ir.Value:
    """value[start:stop:step] along a static dimension, all of the others."""
    shape = shape_of(value)
    starts, stops, steps = [0] * len(shape), [-1 if size == DYNAMIC else size for size in shape], [1] * len(shape)
    starts[axis], stops[axis], steps[axis] = start, stop, step
    return graph.SliceOp.build(value, starts=starts, stops=stops, steps=steps)


@converts("torch.aten.select.int")
def build_select(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    shape = shape_of(value)
    axis, index = op.axis(1, len(shape)), op.integer(2)
    if axis is None or index is None or shape[axis] == DYNAMIC:
        return None
    start = index % shape[axis]
    return drop_axes(slice_axis(value, axis, start, start + 1, 1), [axis])


@converts("torch.aten.cat")
def build_cat(op: TorchOp) -> ir.Value | None:
    axis, parts = op.axis(1, len(op.result_shape)), op.tensors(0)
    if axis is None or parts is None:
        return None
    # PyTorch still accepts empty tensors of rank 1 beside others.
    parts = [cast(part, op.result_element_type) for part in parts if shape_of(part) != [0]]
    if any(len(shape_of(part)) != len(op.result_shape) for part in parts) or not parts:
        return None
    return parts[0] if len(parts) == 1 else graph.ConcatOp.build(*parts, axis=axis, result_type=op.result_type)


@converts("torch.aten.stack")
def build_stack(op: TorchOp) -> ir.Value | None:
    axis, parts = op.axis(1, len(op.result_shape)), op.tensors(0)
    if axis is None or not parts:
        return None
    rows = [insert_axis(cast(part, op.result_element_type), axis) for part in parts]
    return rows[0] if len(rows) == 1 else graph.ConcatOp.build(*rows, axis=axis, result_type=op.result_type)


@converts("torch.aten.constant_pad_nd")
def build_pad(op: TorchOp) -> ir.Value | None:
    """PyTorch gives (low, high) pairs from the last dimension on; a negative amount cuts."""
    value, amounts, filling = op.tensor(0), op.integers(1), op.number(2)
    if 0 in shape_of(value) and DYNAMIC not in op.result_shape and filling is not None:
        # IREE does not compile a pad of nothing.
        return graph.BroadcastOp.build(scalar(filling, op.result_element_type), result_type=op.result_type)
    is_cutting = min(amounts or [], default=0) < 0
    # The attribute is a float64, which has all smaller integers.
    is_held = filling is not None and (is_float(element_type_of(value)) or abs(filling) <= 1 << 53)
    if amounts is None or filling is None or not is_held or is_bool(element_type_of(value)):
        if is_cutting:
            raise op.refuse("cannot cut this tensor by negative padding: slice it instead")
        return None
    missing = [0] * (len(shape_of(value)) - len(amounts) // 2)
    low, high = ([*missing, *amounts[side::2][::-1]] for side in (0, 1))
    if is_cutting:
        value = cut(op, value, low, high)
    low, high = ([max(amount, 0) for amount in side] for side in (low, high))
    return graph.PadOp.build(value, low=low, high=high, value=float(filling)) if any(low + high) else value


@converts("torch.terrace.border_pad")
def build_border_pad(op: TorchOp) -> ir.Value | None:
    low, high, mode = op.integers(1), op.integers(2), op.string(3)
    return None if low is None or high is None else graph.BorderPadOp.build(op.tensor(0), low=low, high=high, mode=mode)


def cut(op: TorchOp, value: ir.Value, low: Sequence[int], high: Sequence[int]) -> ir.Value:
    """`value` without as many elements before and after each dimension as the negative amounts say."""
    shape = shape_of(value)
    if any(size == DYNAMIC and amount < 0 for size, amount in zip(shape, high, strict=True)):
        raise op.refuse("cannot cut the end of a dynamic dimension by negative padding: slice it instead")
    stops = [-1 if size == DYNAMIC else size + min(amount, 0) for size, amount in zip(shape, high, strict=True)]
    starts = [max(-amount, 0) for amount in low]
    return graph.SliceOp.build(value, starts=starts, stops=stops, steps=[1] * len(shape))
