"""`widen-sums`: what IREE adds up in float32 on a CPU, it adds up in float64, and rounds once.

IREE's code generation adds one element after another, which over a long row loses digits; our generators make such sums
in blocks. IREE's are each `linalg.generic` that adds to its accumulator, and `tm_tensor.scan` by addition or product.
"""

from __future__ import annotations

import dataclasses
import math

from terrace.dialects.base import shape_of
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.mlir import DYNAMIC, arith, ir, walk
from terrace.passes import Pass

SHORT = 64
"""Sums of no more terms than this stay as they are."""


@dataclasses.dataclass(frozen=True)
class WidenSums(Pass):
    """Give long sums of float32 that are linalg, and scans, an accumulator of float64."""

    name = "widen-sums"

    def run(self, module: ir.Operation) -> None:
        for operation in walk(module):
            if operation.name == "linalg.generic" and _is_long_sum(operation):
                _widen(operation, len(operation.operands) - 1)
            elif operation.name == "tm_tensor.scan" and _accumulation(operation) is not None:
                _widen(operation, 0)


def _accumulation(operation: ir.Operation) -> ir.Operation | None:
    """The last op of the body, if it adds to the body's last argument, an f32, or multiplies it, as its only use."""
    block = operation.regions[0].blocks[0]
    *body, end = [view.operation for view in block.operations]
    accumulator = block.arguments[len(block.arguments) - 1]
    uses = [use.owner.operation for use in accumulator.uses]
    if not body or len(uses) != 1 or uses[0] != body[-1] or list(end.operands) != list(body[-1].results):
        return None
    if not isinstance(accumulator.type, ir.F32Type):
        return None
    return body[-1] if body[-1].name in ("arith.addf", "arith.mulf") else None


def _is_long_sum(operation: ir.Operation) -> bool:
    """Whether a generic op of one result adds up many elements of an operand that it goes through once.

    In a contraction there is no such operand; IREE knows how to make those.
    """
    last = _accumulation(operation)
    if last is None or last.name != "arith.addf" or len(operation.results) != 1:
        return False
    *maps, _ = [ir.AffineMapAttr(map_).value for map_ in ir.ArrayAttr(operation.attributes["indexing_maps"])]
    terms = 0
    for operand, map_ in zip(operation.operands, maps, strict=False):
        if map_.is_permutation:
            shapes = shape_of(operand), shape_of(operation.results[0])
            is_known = DYNAMIC not in shapes[0] + shapes[1]
            terms = math.prod(shapes[0]) // max(1, math.prod(shapes[1])) if is_known else SHORT + 1
    return terms > SHORT


def _widen(operation: ir.Operation, first: int) -> None:
    """Convert the operands from number `first` on to f64, and with them their arguments of the body and the results."""
    wide, narrow = ir.F64Type.get(), ir.F32Type.get()
    last = _accumulation(operation)
    assert last is not None
    block = operation.regions[0].blocks[0]
    with operation.location:
        with ir.InsertionPoint(operation):
            for number in range(first, len(operation.operands)):
                operation.operands[number] = b.convert_elements(operation.operands[number], wide)
        for argument in list(block.arguments)[min(first, len(block.arguments) - 1) :]:
            argument.set_type(wide)
        with ir.InsertionPoint(last):
            for number, operand in enumerate(last.operands):
                if operand.type != wide:
                    last.operands[number] = arith.extf(wide, operand)
        last.results[0].set_type(wide)
        with ir.InsertionPoint(_next(operation)):
            for result in operation.results:
                result.set_type(ir.RankedTensorType.get(shape_of(result), wide))
                users = [(use.owner.operation, use.operand_number) for use in result.uses]
                rounded = b.convert_elements(result, narrow) if users else result
                for user, number in users:
                    user.operands[number] = rounded


def _next(operation: ir.Operation) -> ir.Operation:
    """The op after one."""
    operations = [view.operation for view in operation.block.operations]
    return operations[operations.index(operation) + 1]
