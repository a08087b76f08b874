"""`encode-weights`: weights of linear layers are stored as integers of 4 or 8 bits in groups, and multiplied as floats.

Each product by a weight of floats reads what its encoding stands for (`graph.decode` of `graph.encode`). Both are
constant expressions: no pass reads elements, and a target whose kernels decode (`fuse-decode`) keeps the integers.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.encodings import ENCODINGS, IntegerGroups
from terrace.dialects.graph import DecodeOp, EncodeOp
from terrace.element_types import ELEMENT_TYPES
from terrace.errors import PipelineError
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.quantization.accumulator_chains import is_weight
from terrace.mlir import ir, walk
from terrace.passes import Pass

KINDS: dict[int, type[IntegerGroups]] = {
    kind.bits: kind for kind in ENCODINGS.values() if issubclass(kind, IntegerGroups)
}
"""The encodings by the bits of an integer."""


@dataclasses.dataclass(frozen=True)
class EncodeWeights(Pass):
    """Store the weights of matmuls as integers of `bits` bits with a scale for each `group` along k."""

    name = "encode-weights"

    bits: int = 4
    """4 or 8."""

    group: int = 32
    """Neighbours along k that share a scale; 0 for all of them."""

    zero_points: bool = False
    """Give each group a zero point, too, for elements that are not around zero."""

    def __post_init__(self) -> None:
        if self.bits not in KINDS:
            raise PipelineError(f"pass '{self.name}': option 'bits' must be 4 or 8, got {self.bits}")
        if self.group < 0:
            raise PipelineError(f"pass '{self.name}': option 'group' must not be negative, got {self.group}")

    def run(self, module: ir.Operation) -> None:
        constant = constant_values(module)
        for operation in [op for op in walk(module) if op.name == "graph.matmul"]:
            if is_weight(operation.operands[1], constant) and _is_float(operation.operands[1]):
                self._encode(operation)

    def _encode(self, operation: ir.Operation) -> None:
        weight, axis = operation.operands[1], int(attributes_of(operation).transpose_rhs)
        # A group is no longer than k, so that equal text stands for equal layers.
        size = shape_of(weight)[axis]
        group = max(1, min(self.group or size, size))
        encoding = KINDS[self.bits](axis, group, int(self.zero_points), scale_bits=16)
        with ir.InsertionPoint(operation), operation.location:
            operation.operands[1] = DecodeOp.of(EncodeOp.build(weight, encoding), encoding, weight.type)


def _is_float(value: ir.Value) -> bool:
    row = ELEMENT_TYPES.get(str(element_type_of(value)))
    return row is not None and row.kind == "float" and row.computes_in == "f32"
