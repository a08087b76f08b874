"""random_bits: the counter-based generator Philox4x32-10, an element at a time."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of
from terrace.lowering.conversion.functions.number import words_of_product
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.layout import declared_sizes
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.mlir import arith, ir, linalg
from terrace.rewriting import Pattern

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
INCREMENTS = (0x9E3779B9, 0xBB67AE85)
"""The constants of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011."""


@reference_of(graph.RandomBitsOp)
class ConvertRandomBits(Pattern):
    """Computes every element from its number: nothing is kept from one to the next."""

    def rewrite(self, op: ir.OpView) -> bool:
        seed = op.operation.operands[0]
        sizes = declared_sizes(op)
        stream = attributes_of(op).stream
        i64 = ir.IntegerType.get_signless(64)

        def body(seed: ir.Value) -> ir.Value:
            number = b.index_value(0)
            for axis, size in enumerate(sizes):
                number = arith.addi(arith.muli(number, b.index_value(size)), linalg.IndexOp(axis).result)
            counter = split(arith.index_cast(i64, number)) + split(arith.constant(i64, stream))
            low, high, *_ = philox(counter, split(seed))
            wide = arith.shli(arith.extui(i64, high), arith.constant(i64, 32))
            return arith.ori(wide, arith.extui(i64, low))

        return b.finish(op, b.elementwise([seed], [[]], sizes, i64, body))


def word(value: int) -> ir.Value:
    """A constant of 32 bits."""
    i32 = ir.IntegerType.get_signless(32)
    return arith.constant(i32, value - (1 << 32) if value >= 1 << 31 else value)


def split(value: ir.Value) -> list[ir.Value]:
    """The low and the high word of an i64."""
    i32 = ir.IntegerType.get_signless(32)
    high = arith.shrui(value, arith.constant(value.type, 32))
    return [arith.trunci(i32, value), arith.trunci(i32, high)]


def philox(counter: Sequence[ir.Value], key: Sequence[ir.Value]) -> Sequence[ir.Value]:
    """The four words that belong to a counter of four and a key of two."""
    for number in range(ROUNDS):
        if number:
            key = (arith.addi(key[0], word(INCREMENTS[0])), arith.addi(key[1], word(INCREMENTS[1])))
        low0, high0 = words_of_product(counter[0], word(MULTIPLIERS[0]))
        low1, high1 = words_of_product(counter[2], word(MULTIPLIERS[1]))
        counter = (
            arith.xori(arith.xori(high1, counter[1]), key[0]),
            low1,
            arith.xori(arith.xori(high0, counter[3]), key[1]),
            low0,
        )
    return counter
