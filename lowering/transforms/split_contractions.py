"""Float32 products by weights as products of two bfloat16 parts of each operand, which some machines multiply faster.

A number is its nearest bfloat16 plus the nearest bfloat16 of the rest, but for 2^-16 of it. Of the four products of
parts the one of the rests is as small, and left out. The three others are one product, of the parts side by side along
k: [x, x, rest of x] by [w, rest of w, w]. So the sum stays one, in float32, and the parts of weights are constants.

Run where `round-contractions` is, after `choose-layout` and before fusion.
"""

from __future__ import annotations

import dataclasses
import math

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.graph.builders import convert, erase_dead_ops
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.mlir import DYNAMIC, ir, walk
from terrace.passes import Pass

PARTS = "bf16 parts"
"""What a backend calls this precision."""

PRODUCTS = 3
"""How many products of parts there are for each."""

FEWEST_ROWS = 16
"""Rows of what is multiplied: of fewer the weights are most of what is read, and parts are half as much again."""


@dataclasses.dataclass(frozen=True)
class SplitContractions(Pass):
    """Make float32 products by weights products of bfloat16 parts, where they have rows enough."""

    name = "split-contractions"

    def run(self, module: ir.Operation) -> None:
        # By the block, too: what is made in one body of control flow is not known in another.
        constant, made = constant_values(module), dict[tuple[ir.Value, int, bool, ir.Block], ir.Value]()
        for operation in [op for op in walk(module) if op.name == "graph.matmul"]:
            values = [*operation.operands, *operation.results]
            if not all(isinstance(element_type_of(v), ir.F32Type) for v in values) or values[1] not in constant:
                continue
            rows = shape_of(values[0])[:-1]
            if DYNAMIC not in rows and math.prod(rows) < FEWEST_ROWS:
                continue
            for number, axis in enumerate((len(rows), int(attributes_of(operation).transpose_rhs))):
                key = values[number], axis, number == 1, operation.block
                if key not in made:
                    with ir.InsertionPoint(operation), operation.location:
                        made[key] = _parts(*key[:3])
                operation.operands[number] = made[key]
        erase_dead_ops(module)


def _parts(value: ir.Value, axis: int, is_weight: bool) -> ir.Value:
    """The parts of an operand side by side along its axis of k."""
    bf16 = ir.BF16Type.get()
    first = convert(value, bf16)
    rest = convert(graph.SubOp.build(value, convert(first, element_type_of(value))), bf16)
    parts = (first, rest, first) if is_weight else (first, first, rest)
    return graph.ConcatOp.build(*parts, axis=axis)
