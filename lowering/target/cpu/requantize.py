"""`loop.requantize_tile` on a CPU with fused multiply-adds: in float64, in a third of the steps that i64 takes.

The product of two i32 is exact inside a multiply-add. What it adds, 1.5 * 2^52, leaves the sum no bits below one: the
only rounding is the one that is asked for, to nearest, ties to even, and the sum's low 32 bits are the integer. That
holds while the product is below 2^31, as it is of factors below one. Where there are others, values are limited before,
far beyond what saturates.

An i32 becomes a float64 as the low bits of 2^52, from which that is taken away. So registers are split and joined by
shuffles within 128 bits: of each four lanes the first two go to one register of float64, the others to another.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from terrace.lowering.graph.payload_quantized import requantized, saturate
from terrace.lowering.graph.payload_types import compare, constant
from terrace.lowering.target.cpu.tile import joined, lanes_of, split
from terrace.mlir import arith, ir, llvm, math, scf, vector

FUSED = frozenset({"fma", "avx512f", "neon"})
"""Features that have multiply-adds of float64 in vectors."""

PACKS = "avx512bw"
"""The feature of packs of 512 bits, which saturate."""

WHOLE = 1.5 * 2.0**52
"""Float64 near it are whole numbers, and it is even."""

UNSIGNED = 0x43300000
"""The high bits of a float64 from 2^52 on, whose low ones are a number."""

QUAD = 4
"""The i32 of 128 bits, within which shuffles are cheap."""

SATURATED = 2.0**10
"""More than an i8 holds."""


@dataclasses.dataclass(frozen=True)
class Factor:
    """multiplier / 2^shift: exact in float64, as a shift is at most 62. `halves` are two for each register of i32."""

    halves: list[list[ir.Value]]

    @staticmethod
    def of(multiplier: ir.Value, shift: ir.Value, lanes: int) -> Factor:
        power = arith.shli(arith.subi(constant(shift.type, 1023), shift), constant(shift.type, 20))
        return Factor(
            [
                [arith.mulf(m, p) for m, p in zip(_numbers(m), _halves(constant(p.type, 0), p), strict=True)]
                for m, p in zip(split(multiplier, lanes), split(power, lanes), strict=True)
            ]
        )

    def reaches_one(self) -> ir.Value:
        """Whether that of any lane is one or more."""
        parts = [half for halves in self.halves for half in halves]
        ones = [compare("ge", math.absf(part), constant(part.type, 1.0)) for part in parts]
        either = functools.reduce(arith.ori, ones)
        return vector.reduction(ir.IntegerType.get_signless(1), vector.CombiningKind.OR, either)

    def limit(self) -> ir.Value:
        """A magnitude from which on the product saturates, and at which it is below 2^31."""

        def whole(part: ir.Value) -> ir.Value:
            most = constant(part.type, 2.0**31 - 2)
            ratio = arith.divf(constant(part.type, SATURATED), math.absf(part))
            ratio = arith.select(compare("lt", ratio, most), ratio, most)
            return arith.addf(ratio, constant(part.type, WHOLE + 1))

        return joined([_low_halves(*map(whole, halves)) for halves in self.halves])


class Requantizer:
    """Makes the parts of a tile. `lanes` are those of 32 bits of a register."""

    def __init__(self, lanes: int, features: Sequence[str]) -> None:
        self.lanes, self.is_fused = lanes, not FUSED.isdisjoint(features)
        self.packs = PACKS in features and lanes == 16

    def parts(
        self, values: Sequence[ir.Value], multipliers: Sequence[ir.Value], shifts: Sequence[ir.Value], element: ir.Type
    ) -> list[ir.Value]:
        """The integers of type `element`; other than i8, and of few lanes, in i64."""
        columns = list(zip(values, multipliers, shifts, strict=True))
        fits = [isinstance(value.type, ir.VectorType) and lanes_of(value) % QUAD == 0 for value in values]
        if not self.is_fused or element.width != 8 or not all(fits):
            return [requantized(*column, element) for column in columns]
        factors = {pair: Factor.of(*pair, self.lanes) for pair in dict.fromkeys((m, s) for _, m, s in columns)}
        used = [factors[m, s] for _, m, s in columns]
        limited = self._limited(values, used, list(factors.values()))
        return [self._narrow(self._products(v, f), element) for v, f in zip(limited, used, strict=True)]

    @staticmethod
    def _limited(values: Sequence[ir.Value], used: Sequence[Factor], factors: Sequence[Factor]) -> list[ir.Value]:
        """The values, limited where a factor reaches one."""
        condition = functools.reduce(arith.ori, [factor.reaches_one() for factor in factors])
        branch = scf.IfOp(condition, [value.type for value in values], has_else=True)
        with ir.InsertionPoint(branch.then_block):
            limits = {id(factor): factor.limit() for factor in factors}
            lows = {key: arith.subi(constant(limit.type, 0), limit) for key, limit in limits.items()}
            pairs = [(value, id(factor)) for value, factor in zip(values, used, strict=True)]
            scf.YieldOp([arith.minsi(arith.maxsi(value, lows[key]), limits[key]) for value, key in pairs])
        with ir.InsertionPoint(branch.else_block):
            scf.YieldOp(list(values))
        return list(branch.results)

    def _products(self, value: ir.Value, factor: Factor) -> list[ir.Value]:
        """value * factor, rounded to i32, in registers of these."""
        made = []
        for register, factors in zip(split(value, self.lanes), factor.halves, strict=True):
            pairs = zip(_numbers(register), factors, strict=True)
            made.append(_low_halves(*(math.fma(n, f, constant(n.type, WHOLE)) for n, f in pairs)))
        return made

    def _narrow(self, products: list[ir.Value], element: ir.Type) -> ir.Value:
        """Registers of i32, saturated and joined."""
        if not self.packs or len(products) == 1:
            return saturate(joined(products), element)
        first, second, third, fourth = (products[i % len(products)] for i in range(4))
        words, bytes_ = ir.VectorType.get([32], _integer(16)), ir.VectorType.get([64], element)
        pairs = [_call(words, "packssdw", *pair) for pair in ((first, second), (third, fourth))]
        packed = _call(bytes_, "packsswb", *pairs)
        # Packs work within 128 bits: there are four numbers of every register.
        order = [QUAD * (lane % QUAD) + lane // QUAD for lane in range(self.lanes)]
        places = arith.constant(first.type, ir.DenseElementsAttr.get(np.array(order, np.int32), type=first.type))
        packed = _call(first.type, "permvar.si", vector.bitcast(first.type, packed), places)
        # IREE 3.13 rewrites an extsi of a vector.bitcast, and loses the sign.
        return split(llvm.bitcast(bytes_, packed), len(products) * self.lanes)[0]


def _halves(low: ir.Value, high: ir.Value) -> list[ir.Value]:
    """Two registers of float64 by their low and high bits: the first two lanes of each four, and the others."""
    count, quads = lanes_of(low), range(0, lanes_of(low), QUAD)
    type_ = ir.VectorType.get([count // 2], ir.F64Type.get())
    order = [[lane for q in quads for i in (q + at, q + at + 1) for lane in (i, count + i)] for at in (0, 2)]
    return [vector.bitcast(type_, vector.shuffle(low, high, lanes)) for lanes in order]


def _numbers(value: ir.Value) -> list[ir.Value]:
    """A register of i32 as two of float64."""
    unsigned = arith.xori(value, constant(value.type, -(2**31)))
    halves = _halves(unsigned, constant(value.type, UNSIGNED))
    return [arith.subf(half, constant(half.type, 2.0**52 + 2.0**31)) for half in halves]


def _low_halves(first: ir.Value, second: ir.Value) -> ir.Value:
    """The low bits of two registers of float64, as one of i32: undoes `_halves`."""
    count = 2 * lanes_of(first)
    halves = [vector.bitcast(ir.VectorType.get([count], _integer(32)), half) for half in (first, second)]
    pairs = range(0, count, QUAD)
    return vector.shuffle(*halves, [lane for q in pairs for lane in (q, q + 2, count + q, count + q + 2)])


def _call(type_: ir.Type, name: str, *operands: ir.Value) -> ir.Value:
    return llvm.call_intrinsic(type_, f"llvm.x86.avx512.{name}.512", list(operands), [], [])


def _integer(width: int) -> ir.Type:
    return ir.IntegerType.get_signless(width)
