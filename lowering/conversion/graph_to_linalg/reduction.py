"""reduce."""

from __future__ import annotations

from terrace.dialects import graph
from terrace.dialects.base import Attributes, attributes_of, element_type_of, shape_of
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.normalization import divide, float_count
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph import payload
from terrace.mlir import ir
from terrace.passes import fail
from terrace.rewriting import Pattern

COMBINE = {"sum": "add", "mean": "add", "max": "maximum", "min": "minimum", "prod": "mul"}
"""The elementwise op that combines two elements of each kind of reduction."""


def initial_value(kind: str, element_type: ir.Type) -> float:
    """The neutral element of reduction `kind`; for max and min the type's smallest and largest value."""
    if kind in ("sum", "mean"):
        return 0
    if kind == "prod":
        return 1
    if payload.is_float(element_type):
        return float("-inf") if kind == "max" else float("inf")
    if payload.is_bool(element_type):
        return 0 if kind == "max" else 1
    half = 1 << (element_type.width - 1)
    return -half if kind == "max" else half - 1


@reference_of(graph.ReduceOp)
class ConvertReduce(Pattern):
    """Reduces in the accumulator's type; a mean divides by the size at run time."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        attrs = attributes_of(op)
        element_type = element_type_of(op.operation.results[0])
        if attrs.kind == "mean" and not payload.is_float(element_type):
            raise fail(op, f"has no mean of element type {element_type}; cast its operand to a float first")
        wide = payload.compute_type(element_type)
        no_attributes = Attributes({})

        def combine(accumulator: ir.Value, item: ir.Value) -> ir.Value:
            return payload.emit(f"graph.{COMBINE[attrs.kind]}", no_attributes, [accumulator, item], wide)

        result = b.reduce(value, attrs.axes, wide, initial=initial_value(attrs.kind, wide), combine=combine)
        if attrs.kind == "mean":
            result = divide(result, float_count([b.size_of(value, axis) for axis in attrs.axes], wide))
        result = b.convert_elements(result, element_type)
        if attrs.keepdims:
            result = restore_axes(result, value, attrs.axes)
        return b.finish(op, result)


def restore_axes(result: ir.Value, value: ir.Value, axes: list[int]) -> ir.Value:
    """`result`, a reduction of `value`, with the reduced `axes` back as size 1."""
    rank = len(shape_of(value))
    kept = [axis for axis in range(rank) if axis not in axes]
    # Each kept dimension takes along the reduced ones after it, and the first those before it, too.
    starts = [0, *kept[1:]]
    groups = [list(range(start, end)) for start, end in zip(starts, [*kept[1:], rank], strict=True)]
    sizes: list[b.Size] = [1] * rank
    for position, axis in enumerate(kept):
        sizes[axis] = b.size_of(result, position)
    return b.expand(result, groups if kept else [], sizes)
