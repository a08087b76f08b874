"""Sums over many steps: in blocks, whose sums are added up with what rounding loses carried along (Kahan, 1965).

A sum in one go errs by up to a unit in the last place for every step. Here it is as many as a block has steps.
"""

from __future__ import annotations

import math as pymath
from collections.abc import Callable

from terrace.lowering.graph.payload_types import compare, constant, is_float, scalar_type
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.mlir import arith, ir, math

Step = Callable[[Index, list[ir.Value]], list[ir.Value]]
"""Adds what is at an index to some tiles."""


def sum_in_blocks(
    b: LoopBuilder, upper: Index, step: int, block: int, zeros: list[ir.Value], body: Step
) -> list[ir.Value]:
    """The sums that `body` makes from 0 to `upper` in steps, in blocks of so many; all in one for block 0."""
    if block == 0 or (isinstance(upper, int) and upper <= block):
        return b.reduce_all(0, upper, step, zeros, body)

    def one_block(at: Index, carried: list[ir.Value]) -> list[ir.Value]:
        parts = b.reduce_all(at, b.min(b.add(at, block), upper), step, zeros, body)
        totals = [add_exactly(*values) for values in zip(carried[::2], carried[1::2], parts, strict=True)]
        return [value for pair in totals for value in pair]

    return b.reduce_all(0, upper, block, [zero for zero in zeros for _ in range(2)], one_block)[::2]


def add_exactly(total: ir.Value, lost: ir.Value, part: ir.Value) -> tuple[ir.Value, ir.Value]:
    """total + part, and by how much that is too large; `lost` is what that was before."""
    if not is_float(scalar_type(total.type)):
        return arith.addi(total, part), lost
    part = arith.subf(part, lost)
    result = arith.addf(total, part)
    lost = arith.subf(arith.subf(result, total), part)
    # An infinite sum loses nothing; infinity less infinity would be NaN.
    is_finite = compare("lt", math.absf(result), constant(result.type, pymath.inf))
    return result, arith.select(is_finite, lost, constant(lost.type, 0.0))
