"""log, log2, log1p, of denormals too, and the inverse hyperbolic functions, exact near 0 and for large arguments."""

from __future__ import annotations

import math as pymath
from fractions import Fraction

from terrace.lowering.conversion.functions.number import Number, choose, integer, log_of_two, number_or_nan, parts
from terrace.mlir import arith


def log(x: Number) -> Number:
    return _at_the_edges(x, _log_of_product(*_split(x)))


def _log_of_product(exponent: Number, f: Number) -> Number:
    """log(2^exponent * (1 + f))."""
    high, low = parts(f, log_of_two(), spare=12)
    half, rest = _log1p_parts(f)
    return exponent.times_plus(high, f - (half - exponent.times_plus(low, rest)))


def log2(x: Number) -> Number:
    """Exact for powers of two: the exponent is added last."""
    exponent, f = _split(x)
    half, rest = _log1p_parts(f)
    high, low = parts(x, 1 / log_of_two())
    small = f - (half - rest)
    return _at_the_edges(x, exponent + small.times_plus(high, small * low))


def log2_parts(x: Number) -> tuple[Number, Number]:
    """log2 as the sum of two numbers, of twice the precision, of a positive x; the infinities of 0 and infinity."""
    exponent, f = _split(x)
    # s = f / (2 + f), and what division and sum have lost.
    u = f + 2.0
    s = f / u
    lost = ((-s).times_plus(u, f) - s * (f - (u - 2.0))) / u
    # log2((1 + s) / (1 - s)) = c * (s + s^3 / 3 + s^5 / 5 + ...), the first two terms with what they lose.
    square = s * s
    square_lost = s.times_plus(s, -square) + s * lost * 2.0
    cube = s * square
    cube_lost = s.times_plus(square, -cube) + s.times_plus(square_lost, lost * square)
    first, first_lost = _times_exactly(s, lost, 2 / log_of_two())
    third, third_lost = _times_exactly(cube, cube_lost, 2 / log_of_two() / 3)
    tail = cube * square * square.polynomial([2 / log_of_two() / (2 * n + 5) for n in range(_terms(x))])
    total = exponent + first
    low = first - (total - exponent)
    more = total + third
    low = low + (third - (more - total)) + (first_lost + (third_lost + tail))
    high = more + low
    is_edge = arith.ori(x.equals(0.0), x.equals(pymath.inf))
    edge = choose(x.equals(0.0), x.of(-pymath.inf), x)
    return choose(is_edge, edge, high), low - (high - more)


def _times_exactly(high: Number, low: Number, factor: Fraction) -> tuple[Number, Number]:
    """(high + low) * factor as the sum of two numbers."""
    main, rest = parts(high, factor)
    product = high * main
    return product, high.times_plus(main, -product) + high.times_plus(rest, low * main)


def log1p(x: Number) -> Number:
    """log(u) of u = 1 + x, and what was lost in u; near 0, where that is all there is, without u."""
    is_small = abs(x) < 0.25
    u = x + 1.0
    lost = choose(x > 1.0, 1.0 - (u - x), x - (u - 1.0))
    exponent, f = _split(u)
    main = _log_of_product(choose(is_small, exponent.of(0.0), exponent), choose(is_small, x, f))
    result = choose(is_small, main, _at_the_edges(u, main + lost / u))
    return result.with_sign_of(x)


def asinh(x: Number) -> Number:
    """log1p(a + a^2 / (1 + sqrt(a^2 + 1))) of a = |x|, with the sign of x; log(2a) where the square could overflow."""
    a, large = abs(x), _large(x)
    is_large = a > large
    small = choose(is_large, a.of(1.0), a)
    square = small * small
    exact = log1p(small + square / ((square + 1.0).square_root() + 1.0))
    return choose(is_large, log(a) + float(log_of_two()), exact).with_sign_of(x)


def acosh(x: Number) -> Number:
    """log1p(t + sqrt(2t + t^2)) of t = x - 1; log(2x) where the square could overflow."""
    is_large = x > _large(x)
    t = choose(is_large, x.of(1.0), x) - 1.0
    exact = log1p(t + t.times_plus(t, t * 2.0).square_root())
    return choose(x < 1.0, x.of(pymath.nan), choose(is_large, log(x) + float(log_of_two()), exact))


def atanh(x: Number) -> Number:
    """log1p(2a / (1 - a)) / 2 of a = |x|, with the sign of x."""
    a = abs(x)
    return (log1p(a * 2.0 / (1.0 - a)) * 0.5).with_sign_of(x)


def _large(x: Number) -> float:
    """From where on x^2 + 1 is x^2."""
    return float(2.0 ** (x.format.fraction // 2 + 2))


def _split(x: Number) -> tuple[Number, Number]:
    """k and f of x = 2^k * (1 + f), with 1 + f between sqrt(1/2) and sqrt(2), for a positive finite x."""
    form = x.format
    is_denormal = x < form.smallest
    shift = form.fraction + 2
    bits = choose(is_denormal, x * 2.0**shift, x).bits()
    # The bits count in sqrt(1/2): those above its fraction are k.
    offset = arith.subi(bits, x.of(pymath.sqrt(0.5)).bits())
    k = arith.shrsi(offset, integer(bits, form.fraction))
    m = x.from_bits(arith.subi(bits, arith.shli(k, integer(bits, form.fraction))))
    shifted = arith.select(is_denormal, integer(bits, shift), integer(bits, 0))
    return x.from_integer(arith.subi(k, shifted)), m - 1.0


def _log1p_parts(f: Number) -> tuple[Number, Number]:
    """h and r of log(1 + f) = f - (h - r), with h = f^2 / 2: log((1 + s) / (1 - s)), s = f / (2 + f), as a series."""
    s = f / (f + 2.0)
    square = s * s
    tail = square * square.polynomial([Fraction(2, 2 * n + 3) for n in range(_terms(f))])
    half = f * f * 0.5
    return half, s * (half + tail)


def _terms(x: Number) -> int:
    """How many terms of the series reach the precision of the format, beyond the first."""
    return 5 if x.format.bits == 32 else 11


def _at_the_edges(x: Number, result: Number) -> Number:
    """`result` of a positive finite x; else what log gives."""
    result = choose(x < pymath.inf, result, x)
    result = choose(x < 0.0, x.of(pymath.nan), result)
    return number_or_nan(x, choose(x.equals(0.0), x.of(-pymath.inf), result))
