"""Floats of 32 and 64 bits as Python's operators build them, the integers of their bits, and exact constants.

A `Number` is a scalar or a vector. A Python number beside one is a constant of its type.
"""

from __future__ import annotations

import dataclasses
import functools
import math as pymath
from collections.abc import Callable, Sequence
from fractions import Fraction

from terrace.element_types import ELEMENT_TYPES, ElementType
from terrace.lowering.graph.payload_types import compare, constant, scalar_type, with_element
from terrace.mlir import arith, ir, math


@dataclasses.dataclass(frozen=True)
class Format:
    """An IEEE format: all its bits, those of the fraction, and the bias of the exponent."""

    bits: int
    fraction: int
    bias: int

    @property
    def smallest(self) -> float:
        """The smallest number that is not denormal."""
        return 2.0 ** (1 - self.bias)

    @staticmethod
    def of(type_: ElementType) -> Format:
        return Format(type_.bits, type_.fraction, 2 ** (type_.bits - type_.fraction - 2) - 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Number:
    """A value of float type, with operators."""

    value: ir.Value

    @property
    def format(self) -> Format:
        return Format.of(ELEMENT_TYPES[str(scalar_type(self.value.type))])

    def of(self, other: Number | float) -> Number:
        """A constant of this number's type; a number is itself."""
        return other if isinstance(other, Number) else Number(constant(self.value.type, other))

    def __add__(self, other: Number | float) -> Number:
        return Number(arith.addf(self.value, self.of(other).value))

    def __sub__(self, other: Number | float) -> Number:
        return Number(arith.subf(self.value, self.of(other).value))

    def __mul__(self, other: Number | float) -> Number:
        return Number(arith.mulf(self.value, self.of(other).value))

    def __truediv__(self, other: Number | float) -> Number:
        return Number(arith.divf(self.value, self.of(other).value))

    def __rsub__(self, other: float) -> Number:
        return self.of(other) - self

    def __rtruediv__(self, other: float) -> Number:
        return self.of(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Number:
        return Number(arith.negf(self.value))

    def __abs__(self) -> Number:
        return Number(math.absf(self.value))

    def __lt__(self, other: Number | float) -> ir.Value:
        return compare("lt", self.value, self.of(other).value)

    def __gt__(self, other: Number | float) -> ir.Value:
        return compare("gt", self.value, self.of(other).value)

    def equals(self, other: Number | float) -> ir.Value:
        return compare("eq", self.value, self.of(other).value)

    def times_plus(self, factor: Number | float, summand: Number | float) -> Number:
        """self * factor + summand, rounded once."""
        return Number(math.fma(self.value, self.of(factor).value, self.of(summand).value))

    def with_sign_of(self, other: Number) -> Number:
        return Number(math.copysign(self.value, other.value))

    def square_root(self) -> Number:
        return Number(math.sqrt(self.value))

    def larger(self, other: Number | float) -> Number:
        """The larger of both; NaN if either is."""
        return Number(arith.maximumf(self.value, self.of(other).value))

    def smaller(self, other: Number | float) -> Number:
        """The smaller of both; NaN if either is."""
        return Number(arith.minimumf(self.value, self.of(other).value))

    def bits(self) -> ir.Value:
        """The bits, as an integer of the same width."""
        integer = ir.IntegerType.get_signless(self.format.bits)
        return arith.bitcast(with_element(self.value.type, integer), self.value)

    def from_bits(self, bits: ir.Value) -> Number:
        """The number of this type that has these bits."""
        return Number(arith.bitcast(self.value.type, bits))

    def from_integer(self, value: ir.Value) -> Number:
        """A signed integer as a number of this type."""
        return Number(arith.sitofp(self.value.type, value))

    def to_integer(self) -> ir.Value:
        """The integer of the same width, of a number that is one."""
        integer = ir.IntegerType.get_signless(self.format.bits)
        return arith.fptosi(with_element(self.value.type, integer), self.value)

    def rounded(self) -> Number:
        """The nearest integer, of a number below 2^20.

        Not by adding and subtracting a large number: compilers of GPU drivers take that for nothing.
        """
        return Number(math.floor((self + 0.5).value))

    def polynomial(self, coefficients: Sequence[Fraction | float]) -> Number:
        """The polynomial of these coefficients, the constant one first."""
        total = self.of(float(coefficients[-1]))
        for coefficient in reversed(coefficients[:-1]):
            total = total.times_plus(self, float(coefficient))
        return total


def choose(condition: ir.Value, on_true: Number, on_false: Number | float) -> Number:
    return Number(arith.select(condition, on_true.value, on_true.of(on_false).value))


def number_or_nan(x: Number, result: Number) -> Number:
    """`result`, or NaN where x is NaN."""
    return choose(compare("ne", x.value, x.value), x, result)


def integer(like: ir.Value, value: int) -> ir.Value:
    """A constant of the integer type of `like`: the lowest bits of `value`."""
    width = scalar_type(like.type).width
    low = value % (1 << width)
    return constant(like.type, low - (1 << width) if low >> (width - 1) else low)


def words_of_product(left: ir.Value, right: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The low and the high word of a product of unsigned integers.

    Not by arith.mului_extended: IREE lowers an op of two results for scalars and vectors of rank 1 alone.
    """
    word = scalar_type(left.type)
    double = with_element(left.type, ir.IntegerType.get_signless(2 * word.width))
    product = arith.muli(arith.extui(double, left), arith.extui(double, right))
    high = arith.shrui(product, integer(product, word.width))
    return arith.trunci(left.type, product), arith.trunci(left.type, high)


def power_of_two(like: Number, exponent: ir.Value) -> Number:
    """2 to an integer power that a normal number of the type can be."""
    form = like.format
    biased = arith.addi(exponent, integer(exponent, form.bias))
    return like.from_bits(arith.shli(biased, integer(exponent, form.fraction)))


# -- constants --------------------------------------------------------------------------------------------------------

_PRECISION = 1400
"""Bits of the constants below: 2 / pi to more than the largest float64 has before the point, and its fraction."""


def _series(terms: Callable[[int], int]) -> int:
    """The sum of terms(n) for n from 0 on, until they are 0."""
    total, n = 0, 0
    while term := terms(n):
        total, n = total + term, n + 1
    return total


@functools.cache
def pi() -> Fraction:
    """Machin's formula: pi = 16 atan(1/5) - 4 atan(1/239)."""
    one = 1 << _PRECISION

    def arctangent(inverse: int) -> int:
        return _series(lambda n: (-1) ** n * (one // ((2 * n + 1) * inverse ** (2 * n + 1))))

    return Fraction(16 * arctangent(5) - 4 * arctangent(239), one)


@functools.cache
def log_of_two() -> Fraction:
    one = 1 << _PRECISION
    return Fraction(_series(lambda n: one // ((n + 1) << (n + 1))), one)


def parts(like: Number, value: Fraction, spare: int = 0) -> tuple[float, float]:
    """`value` as the sum of two numbers of the type, the first with `spare` bits of its fraction empty."""
    digits = like.format.fraction + 1 - spare
    scale = Fraction(2) ** (digits - pymath.frexp(float(value))[1])
    high = Fraction(round(value * scale)) / scale
    return float(high), float(value - high)
