"""expm1, sinh and cosh, exact near 0 and up to where they overflow, and exp2."""

from __future__ import annotations

import math as pymath
from fractions import Fraction

from terrace.lowering.conversion.functions.number import (
    Number,
    choose,
    log_of_two,
    number_or_nan,
    parts,
    power_of_two,
)
from terrace.lowering.graph.payload_types import compare
from terrace.mlir import math


def expm1(x: Number) -> Number:
    """e^x - 1 = 2^k * (p + 1) - 1, with p = e^r - 1 and r = x - k * log(2)."""
    form = x.format
    # Below, the result is -1; above, it overflows, and does by the clamped argument, too.
    safe = choose(compare("ne", x.value, x.value), x.of(0.0), x).larger(-1.5 * form.fraction)
    safe = safe.smaller((form.bias + 1.4) * pymath.log(2))
    k = (safe * (1 / pymath.log(2))).rounded()
    high, low = parts(x, log_of_two())
    r = k.times_plus(-low, k.times_plus(-high, safe))
    # Twice the half, as 2^k may be one power more than there is.
    half = power_of_two(x, (k - 1.0).to_integer())
    result = 2.0 * _small_expm1(r).times_plus(half, half - 0.5)
    return number_or_nan(x, result.with_sign_of(x))


def _small_expm1(r: Number) -> Number:
    """e^r - 1 for |r| up to log(2) / 2, by its Taylor series."""
    last = 8 if r.format.bits == 32 else 14
    tail = r.polynomial([Fraction(1, pymath.factorial(n)) for n in range(2, last + 1)])
    return (r * r).times_plus(tail, r)


def exp2(x: Number) -> Number:
    """2^k * e^(r * log(2)), with the integer k nearest to x and r = x - k."""
    safe = choose(compare("ne", x.value, x.value), x.of(0.0), x)
    return number_or_nan(x, exp2_of_sum(safe, x.of(0.0)))


def exp2_of_sum(high: Number, low: Number) -> Number:
    """2^(high + low); `low` is far below `high` and counts where the result neither overflows nor vanishes."""
    limit = float(high.format.bias + high.format.fraction + 2)
    safe = high.larger(-limit).smaller(limit)
    k = safe.rounded()
    r = (safe - k) + choose(abs(high) < limit, low, 0.0)
    power = _small_expm1(r * float(log_of_two())) + 1.0
    # In two steps: 2^k may be a denormal, or more than there is.
    half = (k * 0.5).rounded()
    return power * power_of_two(high, half.to_integer()) * power_of_two(high, (k - half).to_integer())


def sinh(x: Number) -> Number:
    """(e + e / (e + 1)) / 2 of e = expm1(|x|), with the sign of x."""
    e = expm1(abs(x))
    total = choose(e < pymath.inf, e + e / (e + 1.0), e)
    return (total * 0.5).with_sign_of(x)


def cosh(x: Number) -> Number:
    e = Number(math.exp(abs(x).value))
    return (e + 1.0 / e) * 0.5
