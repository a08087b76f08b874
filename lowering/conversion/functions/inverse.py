"""atan2 with the signs of zeros and infinities, and atan, asin and acos made of it."""

from __future__ import annotations

import math as pymath
from fractions import Fraction

from terrace.lowering.conversion.functions.number import Number, choose, number_or_nan, parts, pi
from terrace.mlir import arith


def atan2(y: Number, x: Number) -> Number:
    """The angle of (x, y): that of the smaller size by the larger, turned to its eighth of the circle."""
    large, small = abs(x).larger(abs(y)), abs(x).smaller(abs(y))
    angle = _eighth(small, large)
    is_left = x.of(1.0).with_sign_of(x) < 0.0
    flat = choose(is_left, _minus(x, pi(), angle), angle)
    steep = _minus(x, pi() / 2, choose(is_left, -angle, angle))
    angle = choose(abs(y) > abs(x), steep, flat)
    return number_or_nan(x, number_or_nan(y, angle.with_sign_of(y)))


def atan(x: Number) -> Number:
    return atan2(x, x.of(1.0))


def asin(x: Number) -> Number:
    return atan2(x, _leg(x))


def acos(x: Number) -> Number:
    return atan2(_leg(x), x)


def _leg(x: Number) -> Number:
    """sqrt(1 - x^2), exact near 1; NaN beyond."""
    return ((1.0 - x) * (x + 1.0)).square_root()


def _minus(like: Number, minuend: Fraction, angle: Number) -> Number:
    high, low = parts(like, minuend)
    return (high - angle) + low


def _eighth(small: Number, large: Number) -> Number:
    """atan(small / large), from 0 to pi / 4; 0 for 0 / 0, and pi / 4 for two infinities.

    Beyond tan(pi / 8) it is pi / 4 + atan((small - large) / (small + large)). By its Taylor series.
    """
    is_equal, is_zero = arith.andi(small.equals(large), small > 0.0), small.equals(0.0)
    is_above = arith.ori(is_equal, small > large * pymath.tan(pymath.pi / 8))
    # A sum of both must not overflow.
    scale = choose(large > 1.0, large.of(0.25), large.of(1.0))
    small, large = small * scale, large * scale
    r = choose(is_above, small - large, small) / choose(is_above, small + large, large)
    r = choose(arith.ori(is_equal, is_zero), r.of(0.0), r)
    square = r * r
    count = 10 if r.format.bits == 32 else 22
    tail = square.polynomial([Fraction((-1) ** n, 2 * n + 1) for n in range(1, count + 1)])
    angle = (square * r).times_plus(tail, r)
    high, low = parts(r, pi() / 4)
    return choose(is_above, high + (angle + low), angle)
