"""Torch ops that read and write at indices: gather, index_select, index, index_put and the scatters.

The import has bounded the indices, merged several, and made writes along one dimension `index_put` at one.
"""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import element_type_of, shape_of
from terrace.dialects.graph_base import product
from terrace.lowering.conversion.torch_to_graph.torch_op import (
    TorchOp,
    cast,
    converts,
    dim,
    is_bool,
    reshape,
)
from terrace.mlir import DYNAMIC, arith, ir

REDUCTIONS = {"sum": "sum", "prod": "prod", "amax": "max", "amin": "min"}
"""The kinds of updates by PyTorch's names."""

# ---------------------------------------------------------------------------------------------------------------------
# Shapes
# ---------------------------------------------------------------------------------------------------------------------


def dynamic_sizes(value: ir.Value, axes: Sequence[int] | None = None) -> list[ir.Value]:
    """Those sizes of a tensor that are not known, in order, of all or some axes."""
    shape = shape_of(value)
    return [dim(value, axis) for axis in (range(len(shape)) if axes is None else axes) if shape[axis] == DYNAMIC]


def merged_axes(value: ir.Value, first: int, count: int) -> ir.Value:
    """`value` with `count` axes from `first` on as one, also none."""
    shape = shape_of(value)
    inner = shape[first : first + count]
    sizes = dynamic_sizes(value, range(first))
    if DYNAMIC in inner:
        total = dim(value, first)
        for axis in range(first + 1, first + count):
            total = arith.muli(total, dim(value, axis))
        sizes.append(total)
    sizes += dynamic_sizes(value, range(first + count, len(shape)))
    return reshape(value, [*shape[:first], product(inner), *shape[first + count :]], sizes)


def along_axis(indices: ir.Value, axis: int, rank: int) -> ir.Value:
    """Indices of any shape, in order, as those that all rows along `axis` of a tensor share."""
    listed = merged_axes(indices, 0, len(shape_of(indices)))
    shape = [1] * axis + shape_of(listed) + [1] * (rank - axis - 1)
    return reshape(listed, shape, dynamic_sizes(listed))


def cut(value: ir.Value, indices: ir.Value, axis: int) -> ir.Value | None:
    """What torch reads of `value` at indices: the first elements only, also where that is one, but along `axis`.

    None where it is not known whether there are more than one.
    """
    sizes, counts = shape_of(value), shape_of(indices)
    pairs = enumerate(zip(sizes, counts, strict=True))
    shorter = [place for place, (size, count) in pairs if place != axis and count == 1 and size != 1]
    if any(sizes[place] == DYNAMIC for place in shorter):
        return None
    if not shorter:
        return value
    starts, steps = [0] * len(sizes), [1] * len(sizes)
    stops = [1 if place in shorter else -1 for place in range(len(sizes))]
    return graph.SliceOp.build(value, starts=starts, stops=stops, steps=steps)


# ---------------------------------------------------------------------------------------------------------------------
# Reads
# ---------------------------------------------------------------------------------------------------------------------


@converts("torch.aten.embedding")
def build_embedding(op: TorchOp) -> ir.Value | None:
    return graph.EmbeddingOp.build(op.tensor(0), op.tensor(1))


@converts("torch.aten.gather")
def build_gather(op: TorchOp) -> ir.Value | None:
    value, indices = op.tensor(0), op.tensor(2)
    axis = op.axis(1, len(shape_of(value)))
    if axis is None or not shape_of(value):
        return None
    read = cut(value, indices, axis)
    return None if read is None else graph.GatherOp.build(read, indices, axis=axis)


@converts("torch.aten.index_select")
def build_index_select(op: TorchOp) -> ir.Value | None:
    value, indices = op.tensor(0), op.tensor(2)
    axis = op.axis(1, len(shape_of(value)))
    if axis is None or not shape_of(value):
        return None
    return graph.GatherOp.build(value, along_axis(indices, axis, len(shape_of(value))), axis=axis)


@converts("torch.aten.index.Tensor")
def build_index(op: TorchOp) -> ir.Value | None:
    """The dimensions of the index take the place of the axis."""
    value, one = op.tensor(0), single_index(op)
    if one is None:
        return None
    axis, indices = one
    shape = shape_of(value)
    picked = graph.GatherOp.build(value, along_axis(indices, axis, len(shape)), axis=axis)
    sizes = dynamic_sizes(value, range(axis)) + dynamic_sizes(indices)
    sizes += dynamic_sizes(value, range(axis + 1, len(shape)))
    result = [*shape[:axis], *shape_of(indices), *shape[axis + 1 :]]
    return picked if len(shape_of(indices)) == 1 else reshape(picked, result, sizes)


def single_index(op: TorchOp) -> tuple[int, ir.Value] | None:
    """The axis and the index, the only one, of an op's list; None for several, and for a mask."""
    listed = op.optional_tensors(1) or []
    given = [(axis, index) for axis, index in enumerate(listed) if index is not None]
    if len(given) != 1 or is_bool(element_type_of(given[0][1])):
        return None
    return given[0]


@converts("torch.terrace.resample")
def build_resample(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    axis = op.axis(3, len(shape_of(value)))
    return None if axis is None else graph.ResampleOp.build(value, op.tensor(1), op.tensor(2), axis=axis)


# ---------------------------------------------------------------------------------------------------------------------
# Writes
# ---------------------------------------------------------------------------------------------------------------------


@converts("torch.aten.index_put", "torch.aten._unsafe_index_put")
def build_index_put(op: TorchOp) -> ir.Value | None:
    """The update has the dimensions of the index in the place of the axis."""
    value, one = op.tensor(0), single_index(op)
    if one is None:
        return None
    axis, indices = one
    source = merged_axes(cast(op.tensor(2), element_type_of(value)), axis, len(shape_of(indices)))
    if len(shape_of(source)) != len(shape_of(value)):
        return None
    kind = "sum" if op.flag(3) else "replace"
    return graph.ScatterOp.build(value, along_axis(indices, axis, len(shape_of(value))), source, axis=axis, kind=kind)


@converts("torch.aten.scatter.src", "torch.aten.scatter.value")
def build_scatter(op: TorchOp) -> ir.Value | None:
    return scatter(op, "replace")


@converts("torch.aten.scatter_add")
def build_scatter_add(op: TorchOp) -> ir.Value | None:
    return scatter(op, "sum")


@converts("torch.aten.scatter_reduce.two")
def build_scatter_reduce(op: TorchOp) -> ir.Value | None:
    """The import leaves those that take the old values in."""
    kind = REDUCTIONS.get(op.string(4) or "")
    return None if kind is None or not op.flag(5) else scatter(op, kind)


def scatter(op: TorchOp, kind: str) -> ir.Value | None:
    """`op(value, dim, indices, source, ...)`; a source that is a number is repeated."""
    value, indices = op.tensor(0), op.tensor(2)
    axis, rank = op.axis(1, len(shape_of(value))), len(shape_of(value))
    source = op.broadcastable(3, element_type_of(value))
    if axis is None or source is None or not rank:
        return None
    is_number = not op.is_tensor(3)
    read = reshape(source, [1] * rank) if is_number else cut(source, indices, axis)
    return None if read is None else graph.ScatterOp.build(value, indices, read, axis=axis, kind=kind)
