"""pow of numbers that are not negative: 2^(y * log2(x)), with the product in twice the precision.

An error in the last place of y * log2(x) would be one of up to 100 units in the last place of the power.
"""

from __future__ import annotations

from terrace.lowering.conversion.functions.exponential import exp2_of_sum
from terrace.lowering.conversion.functions.logarithmic import log2_parts
from terrace.lowering.conversion.functions.number import Number, number_or_nan


def pow(x: Number, y: Number) -> Number:
    high, low = log2_parts(x)
    product = y * high
    rest = y.times_plus(high, -product) + y * low
    return number_or_nan(x, number_or_nan(y, exp2_of_sum(product, rest)))
