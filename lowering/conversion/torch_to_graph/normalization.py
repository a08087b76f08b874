"""Torch's normalisations and softmax."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import element_type_of, shape_of
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.conversion.torch_to_graph.torch_op import TorchOp, cast, converts, is_float, splat
from terrace.mlir import DYNAMIC, ir


@converts("torch.aten.batch_norm")
def build_batch_norm(op: TorchOp) -> ir.Value | None:
    """The inference form: running statistics are there and `training` is false."""
    epsilon, value = op.number(7), op.tensor(0)
    if op.flag(5) or epsilon is None or op.is_none(3) or op.is_none(4):
        return None
    channels = shape_of(value)[1:2]
    mean, variance = (cast(op.tensor(index), element_type_of(value)) for index in (3, 4))
    affine = scale_and_shift(op, 1, 2, channels)
    if affine is None:
        return None
    return graph.BatchNormOp.build(value, mean, variance, *affine, epsilon=float(epsilon), axis=1)


@converts("torch.aten.layer_norm")
def build_layer_norm(op: TorchOp) -> ir.Value | None:
    sizes, epsilon = op.integers(1), op.number(4)
    affine = None if sizes is None else scale_and_shift(op, 2, 3, sizes)
    if affine is None or epsilon is None:
        return None
    return graph.LayerNormOp.build(op.tensor(0), *affine, epsilon=float(epsilon))


@converts("torch.aten.group_norm")
def build_group_norm(op: TorchOp) -> ir.Value | None:
    value, groups, epsilon = op.tensor(0), op.integer(1), op.number(4)
    affine = scale_and_shift(op, 2, 3, shape_of(value)[1:2])
    if affine is None or groups is None or epsilon is None:
        return None
    return graph.GroupNormOp.build(value, *affine, groups=groups, epsilon=float(epsilon), axis=1)


@converts("torch.aten.rms_norm")
def build_rms_norm(op: TorchOp) -> ir.Value | None:
    value, sizes = op.tensor(0), op.integers(1)
    element_type = element_type_of(value)
    row = ELEMENT_TYPES.get(str(element_type))
    own = row.epsilon if row else None
    epsilon = own if op.is_none(3) else op.number(3)
    if sizes is None or epsilon is None:
        return None
    scale = splat(1, sizes, element_type) if op.is_none(2) else cast(op.tensor(2), element_type)
    return graph.RmsNormOp.build(value, scale, epsilon=float(epsilon))


def scale_and_shift(op: TorchOp, scale: int, shift: int, shape: Sequence[int]) -> list[ir.Value] | None:
    """The two affine operands in the element type of operand 0; ones and zeros of `shape` stand for missing ones."""
    element_type = element_type_of(op.tensor(0))
    result = []
    for index, default in ((scale, 1), (shift, 0)):
        if not op.is_none(index):
            result.append(cast(op.tensor(index), element_type))
        elif DYNAMIC in shape:
            return None
        else:
            result.append(splat(default, shape, element_type))
    return result


@converts("torch.aten.softmax.int", "torch.aten._softmax")
def build_softmax(op: TorchOp) -> ir.Value | None:
    value = cast(op.tensor(0), op.result_element_type)
    axis = op.axis(1, len(shape_of(value)))
    if axis is None or not shape_of(value) or not is_float(op.result_element_type):
        return None
    return graph.SoftmaxOp.build(value, axis=axis)
