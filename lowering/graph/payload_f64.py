"""Functions of float64 that IREE can neither expand nor link: made of exp and arithmetic here."""

from __future__ import annotations

import math as pymath
from collections.abc import Callable

from terrace.mlir import arith, ir, math

Constant = Callable[[ir.Type, float], ir.Value]

ERFC = (
    -1.3026537197817092, 0.6419697923564902, 0.01947647320418594, -0.009561514786808757, -0.0009465953444819487,
    0.0003668394978525669, 4.252332480693122e-05, -2.0278578112398195e-05, -1.6242900045426724e-06,
    1.3036558353274332e-06, 1.5626441363103538e-08, -8.523809622573709e-08, 6.529054186188432e-09,
    5.059343743951672e-09, -9.91364018654295e-10, -2.2736643123799638e-10, 9.646816678809955e-11,
    2.3942015037192735e-12, -6.884826042607983e-12, 8.93329854534386e-13, 3.1242786135976534e-13,
    -1.1159961843532074e-13, 5.440092820663267e-16, 7.854827899222983e-15, -9.603429163007604e-16,
)  # fmt: skip
"""Chebyshev coefficients of log(erfc(z) * exp(z * z) / t) in 2t - 1, where t = 2 / (2 + z)."""


def tanh(x: ir.Value, constant: Constant) -> ir.Value:
    """-e / (e + 2) of e = expm1(-2|x|), with the sign of x: exact near 0, 1 at infinity."""
    e = math.expm1(arith.mulf(math.absf(x), constant(x.type, -2.0)))
    return math.copysign(arith.divf(arith.negf(e), arith.addf(e, constant(x.type, 2.0))), x)


def erf(x: ir.Value, constant: Constant) -> ir.Value:
    """Its Taylor series for |x| up to 1; beyond, 1 - erfc(|x|), with the sign of x. The error is at most 4e-15."""
    z = math.absf(x)
    is_small = arith.cmpf(arith.CmpFPredicate.OLT, z, constant(x.type, 1.0))
    return arith.select(is_small, _series(x, constant), math.copysign(_tail(z, constant), x))


def _series(x: ir.Value, constant: Constant) -> ir.Value:
    """2 / sqrt(pi) * sum of (-1)^n x^(2n + 1) / (n! (2n + 1))."""
    square = arith.mulf(x, x)
    total = constant(x.type, 0.0)
    for n in reversed(range(19)):
        coefficient = (-1) ** n / (pymath.factorial(n) * (2 * n + 1))
        total = math.fma(total, square, constant(x.type, coefficient * 2 / pymath.sqrt(pymath.pi)))
    return arith.mulf(total, x)


def _tail(z: ir.Value, constant: Constant) -> ir.Value:
    two = constant(z.type, 2.0)
    t = arith.divf(two, arith.addf(z, two))
    u = arith.subf(arith.mulf(t, two), constant(z.type, 1.0))
    # Clenshaw's recurrence.
    twice = arith.mulf(u, two)
    last, before = constant(z.type, 0.0), constant(z.type, 0.0)
    for coefficient in reversed(ERFC[1:]):
        next_ = arith.addf(arith.subf(arith.mulf(twice, last), before), constant(z.type, coefficient))
        last, before = next_, last
    series = arith.addf(arith.subf(arith.mulf(u, last), before), constant(z.type, ERFC[0] / 2))
    erfc = arith.mulf(t, math.exp(arith.subf(series, arith.mulf(z, z))))
    return arith.subf(constant(z.type, 1.0), erfc)


FMOD_BITS, FMOD_STEPS = 50, 42
"""Bits of the quotient that a step of `fmod` takes, and steps for the widest quotient, 2^1024 / 2^-1074."""


def fmod(x: ir.Value, y: ir.Value, constant: Constant) -> ir.Value:
    """Long division: with d = |y| * 2^k, k falling by the bits of a step, the rest loses as many d as it holds.

    The quotient of a step has few enough digits for the rest less its product with d to be exact, in one fused
    operation. Rounded up, it makes the rest negative, by less than d.
    """
    zero, rest, divisor = constant(x.type, 0.0), math.absf(x), math.absf(y)
    for step in reversed(range(FMOD_STEPS)):
        scaled = divisor
        for power in _powers_of_two(FMOD_BITS * step):
            scaled = arith.mulf(scaled, constant(x.type, power))
        quotient = math.floor(arith.divf(rest, scaled))
        less = math.fma(arith.negf(quotient), scaled, rest)
        less = arith.select(arith.cmpf(arith.CmpFPredicate.OLT, less, zero), arith.addf(less, scaled), less)
        # A divisor beyond the rest, infinity among them, takes nothing.
        rest = arith.select(arith.cmpf(arith.CmpFPredicate.OGT, scaled, rest), rest, less)
    return math.copysign(rest, x)


def _powers_of_two(exponent: int) -> list[float]:
    """Powers of two that float64 holds, whose product is 2^exponent."""
    return [2.0 ** min(1000, exponent - done) for done in range(0, exponent, 1000)]
