"""What indices are multiples of, by the operations that compute them."""

from __future__ import annotations

import math

from terrace.dialects.base import attributes_of
from terrace.mlir import ir, operation_of

_OF_BOTH = ("arith.addi", "arith.subi", "arith.minsi", "arith.minui", "arith.maxsi", "arith.maxui")


def divisor_of(value: ir.Value) -> int:
    """A number that the index is a multiple of, as large as is known; 0 for zero, of which all are divisors."""
    operation = operation_of(value)
    if operation is None:
        return _of_argument(value)
    if operation.name == "arith.constant":
        return abs(int(attributes_of(operation).value))
    if operation.name == "arith.muli":
        return math.prod(map(divisor_of, operation.operands))
    if operation.name in _OF_BOTH:
        return math.gcd(*map(divisor_of, operation.operands))
    return 1


def _of_argument(value: ir.Value) -> int:
    """Of a loop's counter, that of its begin and its step."""
    block = value.owner
    loop = block.owner.operation if isinstance(block, ir.Block) else None
    if loop is None or loop.name != "scf.for" or block.arguments[0] != value:
        return 1
    begin, _, step, *_ = loop.operands
    return math.gcd(divisor_of(begin), divisor_of(step))
