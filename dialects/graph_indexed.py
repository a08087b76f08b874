"""Ops of the graph dialect that read and write at indices known when the program runs."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from collections.abc import Sequence

from terrace.dialects.base import Attributes, ShapeError, format_shape
from terrace.dialects.graph_base import (
    Operand,
    Result,
    Tensor,
    TensorOp,
    require_axis,
    require_equal,
    require_rank,
    require_same_type,
)
from terrace.mlir import DYNAMIC, ext, ir

UPDATES = ("replace", "sum", "prod", "max", "min")
"""What a `graph.scatter` does with an old element and a new one."""


def stretches(indices: Sequence[int], axis: int) -> list[bool]:
    """Along which dimensions indices are repeated: off the axis, where their size is known to be 1."""
    return [place != axis and size == 1 for place, size in enumerate(indices)]


def points(indices: Sequence[int], along: Sequence[int], axis: int) -> list[int]:
    """The sizes of what is read or written: those of the indices, stretched to `along`."""
    found = zip(indices, along, stretches(indices, axis), strict=True)
    return [other if repeats else own for own, other, repeats in found]


def _require_within(what: str, sizes: Sequence[int], whole: Sequence[int], *, but: int | None = None) -> None:
    """Whether no size that is known exceeds another, `but` along one axis."""
    for axis, (size, limit) in enumerate(zip(sizes, whole, strict=True)):
        if axis != but and DYNAMIC not in (size, limit) and size > limit:
            raise ShapeError(f"{what}, {format_shape(list(sizes))} exceeds {format_shape(list(whole))}")


def _require_integers(type_: ir.Type) -> None:
    if not isinstance(type_, ir.IntegerType) or type_.width not in (32, 64):
        raise ShapeError(f"indices must be i32 or i64, got {type_}")


class GatherOp(TensorOp, name="gather", traits=[ext.Pure]):
    """Elements picked along `axis`: result[..., p, ...] = input[..., indices[..., p, ...], ...].

    `indices` has the rank of `input`, and off the axis its sizes or smaller ones: then the first elements are read. A
    size of 1, known, is repeated there along all of `input`. The result has the indices' sizes, so repeated. An index
    out of range is undefined.
    """

    input: Operand[Tensor]
    indices: Operand[Tensor]
    axis: ir.IntegerAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        value, indices = shapes
        require_axis(attrs.axis, len(value))
        require_rank("indices", indices, len(value))
        read = points(indices, value, attrs.axis)
        _require_within("off the axis", read, value, but=attrs.axis)
        return read

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        _require_integers(types[1])
        return types[0]


class ResampleOp(TensorOp, name="resample", traits=[ext.Pure]):
    """Weighted sums along `axis`: result[..., j, ...] = sum over t of weights[j, t] * input[..., indices[j, t], ...].

    `indices` and `weights` are [n, t], t of at least 1. Floats of less than 32 bits have weights of f32, in which sums
    are rounded once. A weight of 0 counts: it makes NaN of an infinity. An index out of range is undefined.
    """

    input: Operand[Tensor]
    indices: Operand[Tensor]
    weights: Operand[Tensor]
    axis: ir.IntegerAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        value, indices, weights = shapes
        require_axis(attrs.axis, len(value))
        require_rank("indices", indices, 2)
        require_rank("weights", weights, 2)
        for name, *sizes in zip(("numbers of elements", "numbers of terms"), indices, weights, strict=True):
            require_equal(f"{name} of indices and weights", *sizes)
        if indices[1] == 0:
            raise ShapeError("needs at least one term of each element")
        return [*value[: attrs.axis], indices[0], *value[attrs.axis + 1 :]]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        value, indices, weights = types
        _require_integers(indices)
        wanted = value if isinstance(value, ir.F64Type) else ir.F32Type.get()
        if not isinstance(value, ir.FloatType) or weights != wanted:
            raise ShapeError(f"cannot weigh elements of {value} by {weights}")
        return value


class ScatterOp(TensorOp, name="scatter", traits=[ext.Pure]):
    """`input` after an update at each point p of `indices`, in row-major order of the points.

    That of point p updates input[..., indices[..., p, ...], ...], the index along `axis`, by source[..., p, ...]: its
    `kind` is replace, sum, prod, max or min (NaN propagates) of old and new element; floats are rounded each time.
    `indices` and `source` have the rank of `input`. A size of 1, known, of either is repeated along the other's, of
    `indices` but along the axis. Else `source` may be larger than `indices`: the first elements are read. Off the axis
    there are no more points than elements. An index out of range is undefined.
    """

    input: Operand[Tensor]
    indices: Operand[Tensor]
    source: Operand[Tensor]
    axis: ir.IntegerAttr
    kind: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        value, indices, source = shapes
        require_axis(attrs.axis, len(value))
        if attrs.kind not in UPDATES:
            raise ShapeError(f"unknown kind '{attrs.kind}', expected one of {', '.join(UPDATES)}")
        require_rank("indices", indices, len(value))
        require_rank("source", source, len(value))
        found = points(indices, source, attrs.axis)
        read = [1 if size == 1 else count for size, count in zip(source, found, strict=True)]
        _require_within("of the source", read, source)
        _require_within("off the axis", found, value, but=attrs.axis)
        return value

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        _require_integers(types[1])
        return require_same_type([types[0], types[2]])
