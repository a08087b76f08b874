"""Ops of the graph dialect along an axis, in order: what there was so far, and sorting."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from terrace.dialects.base import Attributes, Bool, ShapeError
from terrace.dialects.graph_base import Operand, Result, Tensor, TensorOp, require_axis
from terrace.mlir import DYNAMIC, ext, ir

RUNNING = ("sum", "prod", "max", "min")
"""What a `graph.scan` makes of the elements so far."""


class ScanOp(TensorOp, name="scan", traits=[ext.Pure]):
    """The sum, product, max or min (`kind`) of the elements up to each one along `axis`, and that one.

    Sums and products of floats are rounded once for each element that is given, of products and sums in f64 for f32 and
    in f32 for narrower types; where a target has no f64, every step rounds. Integers wrap. NaN is the extreme of all
    that follow it; of equal elements the last is given, where zeros have signs.
    """

    input: Operand[Tensor]
    axis: ir.IntegerAttr
    kind: ir.StringAttr
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        require_axis(attrs.axis, len(shapes[0]))
        if attrs.kind not in RUNNING:
            raise ShapeError(f"unknown kind '{attrs.kind}', expected one of {', '.join(RUNNING)}")
        return shapes[0]


class ArgsortOp(TensorOp, name="argsort", traits=[ext.Pure]):
    """Places (i64) of the elements of `input` in order along `axis`: stable; NaN is larger than any number."""

    input: Operand[Tensor]
    axis: ir.IntegerAttr
    descending: Bool
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        require_axis(attrs.axis, len(shapes[0]))
        return shapes[0]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return ir.IntegerType.get_signless(64)


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

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return ir.IntegerType.get_signless(64)


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
        require_axis(attrs.axis, len(shapes[0]))
        if attrs.kind not in ("max", "min"):
            raise ShapeError(f"unknown kind '{attrs.kind}', expected max or min")
        return shapes[0]

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return ir.IntegerType.get_signless(64)
