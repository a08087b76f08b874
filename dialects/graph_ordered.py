"""Ops of the graph dialect along an axis, in order: what there was so far, and sorting."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from terrace.dialects.base import Attributes, Bool, ShapeError
from terrace.dialects.graph_base import Operand, Result, Tensor, TensorOp, require_axis
from terrace.mlir import DYNAMIC, ext, ir

RUNNING = ("sum", "prod", "max", "min")
"""What a `graph.scan` makes of the elements so far."""


def _places(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
    return ir.IntegerType.get_signless(64)


def _line(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
    require_axis(attrs.axis, len(shapes[0]))
    return shapes[0]


def _require_kind(kind: str, known: tuple[str, ...]) -> None:
    if kind not in known:
        raise ShapeError(f"unknown kind '{kind}', expected one of {', '.join(known)}")


class ScanOp(TensorOp, name="scan", traits=[ext.Pure]):
    """The sum, product, max or min (`kind`) of the elements up to each one along `axis`, and that one.

    Sums and products of f32 are made in f64 where a target has it, those of narrower floats in f32, and each element of
    the result is rounded from them; else every step rounds. Integers wrap. NaN is the extreme of all that follow it; of
    equal elements the last is given, where zeros have signs.
    """

    input: Operand[Tensor]
    axis: ir.IntegerAttr
    kind: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        _require_kind(attrs.kind, RUNNING)
        return _line(shapes, attrs)


class ArgsortOp(TensorOp, name="argsort", traits=[ext.Pure]):
    """Places (i64) of the elements of `input` in order along `axis`: stable; NaN is larger than any number."""

    input: Operand[Tensor]
    axis: ir.IntegerAttr
    descending: Bool
    result: Result[Tensor]

    infer = staticmethod(_line)
    infer_element_type = staticmethod(_places)


class TopkOp(TensorOp, name="topk", traits=[ext.Pure]):
    """The first `count` of the places that `argsort` gives: a line has at least as many elements."""

    input: Operand[Tensor]
    axis: ir.IntegerAttr
    count: ir.IntegerAttr
    descending: Bool
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        (shape,), axis = shapes, attrs.axis
        require_axis(axis, len(shape))
        if attrs.count < 1 or attrs.count > shape[axis] != DYNAMIC:
            raise ShapeError(f"attribute 'count' must be from 1 to the axis' size, {shape[axis]}, got {attrs.count}")
        return [*shape[:axis], attrs.count, *shape[axis + 1 :]]

    infer_element_type = staticmethod(_places)


class ArgScanOp(TensorOp, name="arg_scan", traits=[ext.Pure]):
    """Places (i64) of the extreme among the elements up to each one along `axis`: the last of equal ones, NaN first.

    `kind` is max or min.
    """

    input: Operand[Tensor]
    axis: ir.IntegerAttr
    kind: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        _require_kind(attrs.kind, ("max", "min"))
        return _line(shapes, attrs)

    infer_element_type = staticmethod(_places)
