"""sin, cos and tan of any float: reduced by as many bits of 2 / pi as the argument asks for (Payne and Hanek, 1983).

With x = m * 2^e, m an integer, the bits of 2 / pi that give multiples of 4 in x * 2 / pi change nothing. So a window of
three words is cut out of 2 / pi where x wants it, and its product with m, modulo 2^(bits of a word), is the quadrant in
two bits, and the place in the quadrant below them.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math as pymath
from fractions import Fraction

from terrace.lowering.conversion.functions.number import Format, Number, choose, integer, parts, pi, words_of_product
from terrace.lowering.graph.payload_types import compare
from terrace.mlir import arith, ir


def sin(x: Number) -> Number:
    angle = _reduce(x)
    odd, negative = angle.is_quadrant_bit_set(0), angle.is_quadrant_bit_set(1)
    result = choose(odd, angle.cosine(), angle.sine())
    return choose(negative, -result, result)


def cos(x: Number) -> Number:
    angle = _reduce(x)
    odd, second = angle.is_quadrant_bit_set(0), angle.is_quadrant_bit_set(1)
    result = choose(odd, angle.sine(), angle.cosine())
    return choose(arith.xori(odd, second), -result, result)


def tan(x: Number) -> Number:
    angle = _reduce(x)
    odd = angle.is_quadrant_bit_set(0)
    sine, cosine = angle.sine(), angle.cosine()
    return choose(odd, -cosine, sine) / choose(odd, sine, cosine)


@dataclasses.dataclass(frozen=True)
class _Angle:
    """quadrant * pi / 2 + (high + low), with |high + low| at most pi / 4 and low far below high."""

    quadrant: ir.Value
    high: Number
    low: Number

    def is_quadrant_bit_set(self, bit: int) -> ir.Value:
        one = integer(self.quadrant, 1 << bit)
        return compare("ne", arith.andi(self.quadrant, one), integer(self.quadrant, 0))

    def sine(self) -> Number:
        r, square = self.high, self.high * self.high
        tail = square.polynomial(_taylor(3, _terms(r.format)))
        small = (square * r).times_plus(tail, self.low.times_plus(square * -0.5, self.low))
        return (r + small).with_sign_of(r)  # 0 keeps its sign

    def cosine(self) -> Number:
        r, square = self.high, self.high * self.high
        half = square * 0.5
        tail = square.polynomial(_taylor(4, _terms(r.format)))
        first = 1.0 - half
        lost = (1.0 - first) - half
        return first + (square * square).times_plus(tail, lost - r * self.low)


def _terms(format_: Format) -> int:
    """How many terms of a Taylor series about 0 reach the format's precision up to pi / 4, beyond the first two."""
    return 4 if format_.bits == 32 else 8


def _taylor(start: int, count: int) -> list[Fraction]:
    """The coefficients of x^start, x^(start + 2), ... in the series of sin or cos."""
    powers = range(start, start + 2 * count, 2)
    return [Fraction((-1) ** (power // 2), pymath.factorial(power)) for power in powers]


def _reduce(x: Number) -> _Angle:
    """x, as it is below pi / 4; NaN if x is infinite or NaN."""
    size, form = abs(x), x.format
    is_small = size < pymath.pi / 4
    bits = size.bits()
    one = 1 << form.fraction
    exponent = arith.shrui(bits, integer(bits, form.fraction))
    fraction = arith.ori(arith.andi(bits, integer(bits, one - 1)), integer(bits, one))
    turn = _Turn.of(_product(fraction, _window(exponent, form)), form)
    # pi / 2 for a quadrant, of which `turn` counts parts.
    high, low = parts(x, pi() / 2 / (1 << (form.bits - 2)))
    first, rest = turn.as_numbers(x)
    r = first * high
    error = first.times_plus(high, -r) + first.times_plus(low, rest * high)
    total = r + error
    error = error - (total - r)
    total, error = total * _sign(x), error * _sign(x)
    quadrant = arith.select(x < 0.0, arith.subi(integer(bits, 0), turn.quadrant), turn.quadrant)
    nan = x.of(pymath.nan)
    reduced = choose(size < pymath.inf, total, nan)
    return _Angle(
        arith.select(is_small, integer(bits, 0), quadrant),
        choose(is_small, x, reduced),
        choose(is_small, x.of(0.0), error),
    )


def _sign(x: Number) -> Number:
    return x.of(1.0).with_sign_of(x)


@functools.cache
def _words(bits: int, count: int) -> tuple[int, ...]:
    """2 / pi in `count` words of `bits`, the first of which is 0, the second the first after the point."""
    value = int(2 / pi() * (1 << (bits * (count - 1))))
    return tuple(value >> (bits * (count - 1 - i)) & ((1 << bits) - 1) for i in range(count))


def _window(exponent: ir.Value, form: Format) -> list[ir.Value]:
    """Three words of 2 / pi whose first bit is worth 2 in the product with the fraction, whose last bit is worth
    2^(exponent - bias - fraction).
    """
    bits = form.bits
    # Bit k of 2 / pi after the point is at k + bits - 1 of the words. The window begins at k = e - 1.
    first = bits - 2 - form.bias - form.fraction
    place = arith.addi(exponent, integer(exponent, first))
    # What is out of bounds belongs to arguments that are small, or not finite.
    last = 2 * form.bias + first
    place = arith.minsi(arith.maxsi(place, integer(place, 0)), integer(place, last))
    word = arith.shrui(place, integer(place, bits.bit_length() - 1))
    words = [integer(place, value) for value in _words(bits, last // bits + 4)]
    # The words from number `word` on: shifted by 2^step words where that bit of the number is set.
    for step in reversed(range((last // bits).bit_length())):
        is_set = compare("ne", arith.andi(word, integer(word, 1 << step)), integer(word, 0))
        moved = [words[i + (1 << step)] if i + (1 << step) < len(words) else words[-1] for i in range(len(words))]
        needed = 4 + (1 << step) - 1
        words = [arith.select(is_set, b, a) for a, b in list(zip(words, moved, strict=True))[:needed]]
    shift = arith.andi(place, integer(place, bits - 1))
    back = arith.subi(integer(place, bits - 1), shift)
    one = integer(place, 1)
    return [
        arith.ori(arith.shli(left, shift), arith.shrui(arith.shrui(right, one), back))
        for left, right in itertools.pairwise(words[:4])
    ]


def _product(fraction: ir.Value, window: list[ir.Value]) -> tuple[ir.Value, ir.Value]:
    """The product of an integer with a number of three words, without what is above its first word and below the
    second.
    """
    first, second, third = window
    middle_low, middle_high = words_of_product(fraction, second)
    _, carried = words_of_product(fraction, third)
    low = arith.addi(middle_low, carried)
    carry = arith.extui(low.type, arith.cmpi(arith.CmpIPredicate.ult, low, carried))
    high = arith.addi(arith.muli(fraction, first), arith.addi(middle_high, carry))
    return high, low


@dataclasses.dataclass(frozen=True)
class _Turn:
    """A number of quadrants: an integer, and (high + low * 2^-bits) * 2^(2 - bits), which is at most a half."""

    quadrant: ir.Value
    high: ir.Value
    low: ir.Value

    @staticmethod
    def of(product: tuple[ir.Value, ir.Value], form: Format) -> _Turn:
        """From two words with the point after the first two bits, all rounded to the nearest: `low`, too, is signed."""
        high, low = product
        high = arith.addi(high, arith.shrui(low, integer(low, form.bits - 1)))
        shift = integer(high, form.bits - 2)
        half = integer(high, 1 << (form.bits - 3))
        quadrant = arith.shrui(arith.addi(high, half), shift)
        return _Turn(quadrant, arith.subi(high, arith.shli(quadrant, shift)), low)

    def as_numbers(self, like: Number) -> tuple[Number, Number]:
        """high + low * 2^-bits as the sum of two."""
        first = like.from_integer(self.high)
        rest = like.from_integer(arith.subi(self.high, first.to_integer()))
        return first, like.from_integer(self.low).times_plus(2.0**-like.format.bits, rest)
