"""`fold-slices-into-extracts`: what reads an element of a slice at a place reads it of the tensor that is sliced.

IREE's code for a look-up in a slice that is not dense in memory ends in an index that its own translation refuses.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import shape_of
from terrace.mlir import DYNAMIC, arith, ir, operation_of, tensor
from terrace.passes import Pass
from terrace.rewriting import Pattern, apply_patterns, replace

Indices = list[ir.Value]


def index(value: int) -> ir.Value:
    return arith.constant(ir.IndexType.get(), value)


def through_slice(op: ir.Operation, indices: Indices) -> Indices | None:
    """offset + index * stride on each axis; None where the slice drops axes."""
    if len(shape_of(op.operands[0])) != len(indices):
        return None
    offset_count, size_count = list(op.attributes["operandSegmentSizes"])[1:3]
    dynamic_offsets = list(op.operands)[1 : 1 + offset_count]
    dynamic_strides = list(op.operands)[1 + offset_count + size_count :]

    def values(name: str, dynamic: list[ir.Value]) -> Indices:
        return [dynamic.pop(0) if known == DYNAMIC else index(known) for known in op.attributes[name]]

    offsets = values("static_offsets", dynamic_offsets)
    strides = values("static_strides", dynamic_strides)
    return [
        arith.addi(offset, arith.muli(place, stride))
        for offset, place, stride in zip(offsets, indices, strides, strict=True)
    ]


def groups_of(op: ir.Operation) -> list[list[int]]:
    return [[axis.value for axis in group] for group in op.attributes["reassociation"]]


def through_collapse(op: ir.Operation, indices: Indices) -> Indices | None:
    """The place in each group taken apart; None where that takes a dynamic size."""
    shape = shape_of(op.operands[0])
    found = [index(0)] * len(shape)
    for group, place in zip(groups_of(op), indices, strict=True):
        wide = [axis for axis in group if shape[axis] != 1]
        if any(shape[axis] == DYNAMIC for axis in wide[1:]):
            return None
        rest = place
        for axis in reversed(wide[1:]):
            size = index(shape[axis])
            found[axis], rest = arith.remui(rest, size), arith.divui(rest, size)
        if wide:
            found[wide[0]] = rest
    return found


def through_expand(op: ir.Operation, indices: Indices) -> Indices | None:
    """The places in each group put together; None where that takes a dynamic size."""
    shape = shape_of(op.results[0])
    found = []
    for group in groups_of(op):
        wide = [axis for axis in group if shape[axis] != 1]
        if any(shape[axis] == DYNAMIC for axis in wide[1:]):
            return None
        place = indices[wide[0]] if wide else index(0)
        for axis in wide[1:]:
            place = arith.addi(arith.muli(place, index(shape[axis])), indices[axis])
        found.append(place)
    return found


VIEWS = {
    "tensor.collapse_shape": through_collapse,
    "tensor.expand_shape": through_expand,
    "tensor.extract_slice": through_slice,
}
"""How the indices in a view become those in its source."""


def is_of_slice(value: ir.Value) -> bool:
    """Whether a value is a slice, under whatever shape."""
    view = operation_of(value)
    while view is not None and view.name in VIEWS:
        if view.name == "tensor.extract_slice":
            return True
        view = operation_of(view.operands[0])
    return False


class ReadSource(Pattern):
    """One view at a time."""

    op_name = "tensor.extract"

    def rewrite(self, op: ir.OpView) -> bool:
        source, *indices = op.operation.operands
        if not is_of_slice(source):
            return False
        view = operation_of(source)
        assert view is not None
        found = VIEWS[view.name](view, indices)
        return found is not None and replace(op, tensor.extract(view.operands[0], found))


@dataclasses.dataclass(frozen=True)
class FoldSlicesIntoExtracts(Pass):
    """Read elements of slices, at computed places, from the tensors that are sliced."""

    name = "fold-slices-into-extracts"

    def run(self, module: ir.Operation) -> None:
        apply_patterns(module, [ReadSource()])
