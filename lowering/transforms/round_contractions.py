"""Rounds the operands of float32 products by weights to a type that the machine multiplies faster; sums stay float32.

Each operand gets a cast, and nothing else is rounded. The cast of a weight is a constant expression. That of an
activation moves up through ops that only move elements, or take the largest: rounding keeps their order. So it meets
what computed them, and fusion makes it a part of that epilogue; what is only multiplied is then stored narrow.

Run after `choose-layout`, which makes some convolutions products, and before fusion.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.encodings import IntegerGroups, encoding_of
from terrace.element_types import ELEMENT_TYPES
from terrace.errors import PipelineError
from terrace.lowering.graph.builders import convert, erase_dead_ops, users_of
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.mlir import ir, operation_of, walk
from terrace.passes import Pass

CONTRACTIONS = ("graph.conv2d", "graph.encoded_matmul", "graph.matmul")
MOVES = ("graph.max_pool2d", "graph.permute", "graph.reshape", "graph.slice")
"""Ops that give some of their first operand's elements; their others are sizes."""


def _is_float32(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType) and isinstance(element_type_of(value), ir.F32Type)


def _is_depthwise(operation: ir.Operation) -> bool:
    """Whether it loads an element for every product, as no sum is over channels."""
    if operation.name != "graph.conv2d" or attributes_of(operation).groups == 1:
        return False
    return shape_of(operation.operands[1])[1] == 1


def _floats_of(operation: ir.Operation) -> list[ir.Value]:
    """The operands that a faster step would read as floats: not the codes of encoded weights, of which only those of
    less than a byte have such a step.
    """
    if operation.name != "graph.encoded_matmul":
        return list(operation.operands)
    encoding = encoding_of(attributes_of(operation).encoding)
    is_narrow = isinstance(encoding, IntegerGroups) and encoding.per_byte > 1
    return [operation.operands[0]] if is_narrow else []


class _Rounding:
    """Values in the narrow type: one cast of each, behind what computes it. What is replaced is dead, not erased."""

    def __init__(self, element_type: ir.Type) -> None:
        self._element_type = element_type
        self._rounded: dict[ir.Value, ir.Value] = {}
        self._dead = set[ir.Value]()

    def of(self, value: ir.Value) -> ir.Value:
        if value not in self._rounded:
            operation = operation_of(value)
            if operation is None:
                place, location = ir.InsertionPoint.at_block_begin(value.owner), ir.Location.unknown()
            else:
                place, location = ir.InsertionPoint.after(operation), operation.location
            with place, location:
                self._rounded[value] = convert(value, self._element_type)
        return self._rounded[value]

    def raise_casts(self) -> None:
        """Make cast(move(x)) move(cast(x)) wherever nothing else reads what is moved."""
        pending = list(self._rounded)
        while pending:
            value = pending.pop()
            move = operation_of(value)
            if value in self._dead or move is None or move.name not in MOVES or self._is_read(value):
                continue
            source, *sizes = move.operands
            attributes, old = dict(move.attributes.items()), self._rounded[value]
            narrow = self.of(source)
            with ir.InsertionPoint(move), move.location:
                moved = type(move.opview).build(narrow, *sizes, result_type=old.type, **attributes)
            old.replace_all_uses_with(moved)
            self._dead |= {value, old}
            pending.append(source)

    def _is_read(self, value: ir.Value) -> bool:
        """Whether something reads a value as it is."""
        own = self._dead | {self._rounded[value]}
        return any(not user.results or user.results[0] not in own for user in users_of(value))


@dataclasses.dataclass(frozen=True)
class RoundContractions(Pass):
    """Round the operands of float32 products by weights to `element_type`, a narrower float."""

    name = "round-contractions"

    element_type: str = "bf16"
    """The type, by MLIR's name."""

    def __post_init__(self) -> None:
        row = ELEMENT_TYPES.get(self.element_type)
        if row is None or row.computes_in != "f32" or row.name == "f32":
            raise PipelineError(
                f"pass '{self.name}': option 'element-type' must be a float narrower than f32, got"
                f" '{self.element_type}'"
            )

    def run(self, module: ir.Operation) -> None:
        constant, rounding = constant_values(module), _Rounding(ir.Type.parse(self.element_type))
        for operation in [op for op in walk(module) if op.name in CONTRACTIONS]:
            values, weight, result = _floats_of(operation), operation.operands[1], operation.results[0]
            if not all(map(_is_float32, (*values, result))) or weight not in constant or _is_depthwise(operation):
                continue
            for number, value in enumerate(values):
                operation.operands[number] = rounding.of(value)
        rounding.raise_casts()
        erase_dead_ops(module)
