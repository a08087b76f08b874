"""Operators that move data: reshapes, slices, concats, pads, and tensors made of sizes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.known import slice_parts
from terrace.frontend.onnx.table import Rule, onnx_op
from terrace.frontend.onnx.values import as_tensor, tensor_of_proto, torch_type_of


def sized(rule: Rule) -> Rule:
    """Mark a rule that takes known arrays as such: its sizes, axes and the like."""
    rule.takes_known = True  # type: ignore[attr-defined]
    return rule


@onnx_op("Reshape")
@sized
def reshape(node: Node, x: Any, shape: Any = None) -> Tensor:
    x = as_tensor(x)
    wanted = node["shape"] if shape is None else node.sizes(1, shape, "sizes")
    if not node.get("allowzero", 0):
        wanted = [x.shape[i] if isinstance(size, int) and size == 0 else size for i, size in enumerate(wanted)]
    return x.reshape(wanted)


@onnx_op("Flatten")
def flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@onnx_op("Transpose")
def transpose(node: Node, x: Tensor) -> Tensor:
    return x.permute(node.get("perm", list(reversed(range(x.dim())))))


@onnx_op("Unsqueeze")
@sized
def unsqueeze(node: Node, x: Any, axes: Any = None) -> Tensor:
    x = as_tensor(x)
    wanted = node["axes"] if axes is None else node.numbers(1, axes, "axes")
    rank = x.dim() + len(wanted)
    for axis in sorted(axis % rank for axis in wanted):
        x = x.unsqueeze(axis)
    return x


@onnx_op("Squeeze")
@sized
def squeeze(node: Node, x: Any, axes: Any = None) -> Tensor:
    x = as_tensor(x)
    wanted = node.get("axes") if axes is None else node.numbers(1, axes, "axes")
    if wanted is None:
        wanted = [axis for axis, size in enumerate(x.shape) if isinstance(size, int) and size == 1]
    for axis in sorted((axis % x.dim() for axis in wanted), reverse=True):
        torch._check(x.shape[axis] == 1, lambda: f"{node.op} '{node.name}' drops an axis that is not of size 1")
        x = x.select(axis, 0)
    return x


@onnx_op("Concat")
def concat(node: Node, *values: Tensor) -> Tensor:
    return torch.cat(values, node.get("axis", 1))


@onnx_op("Split")
@sized
def split(node: Node, x: Any, sizes: Any = None) -> tuple[Tensor, ...]:
    x = as_tensor(x)
    axis = node.get("axis", 0)
    wanted = node.get("split") if sizes is None else node.sizes(1, sizes, "sizes")
    if wanted is None:
        count = node.get("num_outputs", node.results)
        each = -(-x.shape[axis] // count)
        wanted = [each] * (count - 1)
        wanted.append(x.shape[axis] - each * (count - 1))
    return torch.split(x, wanted, axis)


@onnx_op("Slice")
@sized
def slice_(node: Node, x: Any, *inputs: Any) -> Tensor:
    x = as_tensor(x)
    found = [None if one is None else node.numbers(i + 1, one, "bounds") for i, one in enumerate(inputs)]
    starts, ends, axes, steps = slice_parts(node, found)
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = axes[index] if axes is not None else index
        step = steps[index] if steps is not None else 1
        size = x.shape[axis]
        if step > 0:
            at: list[Any] = [slice(None)] * x.dim()
            at[axis] = slice(start, end, step)
            x = x[tuple(at)]
        else:
            first = min(start + size if start < 0 else start, size - 1)
            last = max(end + size if end < 0 else end, -1) if end >= -size else -1
            x = x.index_select(axis, torch.arange(first, last, step))
    return x


@onnx_op("Expand")
@sized
def expand(node: Node, x: Any, shape: Any) -> Tensor:
    x = as_tensor(x)
    wanted = node.sizes(1, shape, "sizes")
    rank = max(x.dim(), len(wanted))
    wanted = [1] * (rank - len(wanted)) + wanted
    x = x.reshape((1,) * (rank - x.dim()) + tuple(x.shape))
    return x.expand([-1 if isinstance(size, int) and size == 1 else size for size in wanted])


@onnx_op("Tile")
@sized
def tile(node: Node, x: Any, repeats: Any, axis: Any = None) -> Tensor:
    x = as_tensor(x)
    if node.opset < 6:
        times = [1] * x.dim()
        times[node.numbers(2, axis, "an axis")[0]] = node.numbers(1, repeats, "repeats")[0]
        return x.repeat(times)
    return x.repeat(node.sizes(1, repeats, "repeats"))


MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@onnx_op("Pad")
@sized
def pad(node: Node, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Tensor:
    x = as_tensor(x)
    amounts = node.get("pads", node.get("paddings")) if pads is None else node.numbers(1, pads, "pads")
    wanted = node.numbers(3, axes, "axes", list(range(x.dim())))
    per = [(0, 0)] * x.dim()
    for index, axis in enumerate(wanted):
        per[axis] = (amounts[index], amounts[index + len(wanted)])
    mode = node.get("mode", "constant")
    if mode == "constant":
        flat = [amount for pair in reversed(per) for amount in pair]
        if value is None or isinstance(value, np.ndarray):
            return F.pad(x, flat, value=node.get("value", 0) if value is None else value.item())
        kept = F.pad(torch.ones_like(x, dtype=torch.bool), flat)
        return torch.where(kept, F.pad(x, flat), value.reshape(()))
    for axis, (before, after) in enumerate(per):
        if before or after:
            x = pad_axis(x, axis, before, after, MODES[mode])
    return x


def pad_axis(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """One axis by PyTorch's padding of the last axis of a batch of channels; what it takes away is sliced first."""
    if before < 0 or after < 0:
        x = x.narrow(axis, max(-before, 0), x.shape[axis] - max(-before, 0) - max(-after, 0))
        before, after = max(before, 0), max(after, 0)
    last = x.movedim(axis, -1)
    rows = last.reshape(1, -1, last.shape[-1])
    return F.pad(rows, (before, after), mode=mode).reshape(*last.shape[:-1], -1).movedim(-1, axis)


@onnx_op("ConstantOfShape")
@sized
def constant_of_shape(node: Node, shape: Any) -> Tensor:
    value = node.get("value")
    dtype = torch.float32 if value is None else torch_type_of(value.data_type)
    number = 0.0 if value is None else tensor_of_proto(value).reshape(()).item()
    return torch.full(node.sizes(0, shape, "sizes"), number, dtype=dtype)


@onnx_op("Constant")
def constant(node: Node) -> Tensor:
    if "value" in node.protos:
        return tensor_of_proto(node["value"])
    for name in ("value_float", "value_floats"):
        if name in node.protos:
            return torch.tensor(node[name], dtype=torch.float32)
    raise node.error("is no tensor of numbers")


@onnx_op("Range")
@sized
def arange(node: Node, start: Any, limit: Any, delta: Any) -> Tensor:
    """Bounds that are sizes stay symbolic; those of data are elements of tensors."""
    dtype = next((one.dtype for one in (start, limit, delta) if isinstance(one, Tensor)), None)
    if dtype is None:
        kind = next((one.dtype for one in (start, limit, delta) if one.dtype != object), np.dtype(np.int64))
        dtype = as_tensor(np.zeros((), kind)).dtype
    bounds = [node.scope.known(node.proto.input[i], True) if isinstance(v, Tensor) else v
              for i, v in enumerate((start, limit, delta))]  # fmt: skip
    numbers = [
        value.item() if bound is None else np.asarray(bound).reshape(-1).tolist()[0]
        for bound, value in zip(bounds, (start, limit, delta), strict=True)
    ]
    return torch.arange(*numbers, dtype=dtype)


@onnx_op("EyeLike")
def eye_like(node: Node, x: Tensor) -> Tensor:
    dtype = torch_type_of(node["dtype"]) if "dtype" in node.protos else x.dtype
    rows, columns = torch.arange(x.shape[0]).unsqueeze(1), torch.arange(x.shape[1])
    return (columns - rows == node.get("k", 0)).to(dtype)


@onnx_op("Trilu")
@sized
def trilu(node: Node, x: Any, k: Any = None) -> Tensor:
    x = as_tensor(x)
    offset = 0 if k is None else node.numbers(1, k, "a diagonal")[0]
    offset = max(-(2**31), min(2**31, offset))
    return torch.triu(x, offset) if node.get("upper", 1) else torch.tril(x, offset)


@onnx_op("DepthToSpace")
def depth_to_space(node: Node, x: Tensor) -> Tensor:
    block = node["blocksize"]
    n, c, h, w = x.shape
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // block**2, h * block, w * block)


@onnx_op("SpaceToDepth")
def space_to_depth(node: Node, x: Tensor) -> Tensor:
    block = node["blocksize"]
    n, c, h, w = x.shape
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_unshuffle(x, block)
    parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * block**2, h // block, w // block)


@onnx_op("Col2Im")
@sized
def col2im(node: Node, x: Any, image: Any, block: Any) -> Tensor:
    """Each column of a block's numbers is added to where its block is: any number of dimensions."""
    sizes, blocks = node.numbers(1, image, "sizes"), node.numbers(2, block, "sizes")
    rank = len(sizes)
    dilations, strides = node.get("dilations", [1] * rank), node.get("strides", [1] * rank)
    pads = node.get("pads", [0] * (2 * rank))
    padded = [size + pads[i] + pads[i + rank] for i, size in enumerate(sizes)]
    counts = [(padded[i] - dilations[i] * (blocks[i] - 1) - 1) // strides[i] + 1 for i in range(rank)]
    place = torch.zeros((), dtype=torch.int64)
    for i in range(rank):
        within = torch.arange(blocks[i]) * dilations[i]
        at = within.unsqueeze(1) + torch.arange(counts[i]) * strides[i]
        place = place.unsqueeze(-1).unsqueeze(-1) * padded[i] + at
    # Axes alternate (block, count): all blocks first, as the columns have them.
    order = [2 * i for i in range(rank)] + [2 * i + 1 for i in range(rank)]
    flat = place.permute(order).reshape(-1)
    n = x.shape[0]
    channels = x.shape[1] // math.prod(blocks)
    summed = torch.zeros(n, channels, math.prod(padded), dtype=x.dtype)
    summed = summed.index_add(2, flat, x.reshape(n, channels, -1)).reshape(n, channels, *padded)
    for i in range(rank):
        summed = summed.narrow(i + 2, pads[i], sizes[i])
    return summed


@onnx_op("ReverseSequence")
def reverse_sequence(node: Node, x: Tensor, lengths: Tensor) -> Tensor:
    batch, time = node.get("batch_axis", 1), node.get("time_axis", 0)
    ordered = x.movedim((batch, time), (0, 1))
    steps = torch.arange(ordered.shape[1])
    places = torch.where(steps < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - steps, steps)
    wide = places.reshape(*places.shape, *(1,) * (x.dim() - 2)).expand(ordered.shape)
    return ordered.gather(1, wide).movedim((0, 1), (batch, time))


@onnx_op("CenterCropPad")
@sized
def center_crop_pad(node: Node, x: Any, shape: Any) -> Tensor:
    x = as_tensor(x)
    sizes = node.sizes(1, shape, "sizes")
    for axis, size in zip(node.get("axes", range(x.dim())), sizes, strict=True):
        have = x.shape[axis]
        if size < have:
            x = x.narrow(axis, (have - size) // 2, size)
        elif size > have:
            before = (size - have) // 2
            moved = x.movedim(axis, -1)
            x = F.pad(moved, (before, size - have - before)).movedim(-1, axis)
    return x
