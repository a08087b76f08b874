"""Arithmetic and elementary functions on pairs of a real and an imaginary part.

A real operand has no imaginary part, rather than one of zeros, so a real factor scales both parts. The formulas with
branches and scaling follow Kahan, "Branch cuts for complex elementary functions", 1987, and Smith, "Algorithm 116:
complex division", 1962; what becomes of infinities follows C99, annex G.
"""

from __future__ import annotations

import cmath
import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import torch

from terrace.frontend.complex_pairs import Pair, Value, full_parts, parts

aten = torch.ops.aten


def linear_sum(op: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of a sum or difference, with the factor `alpha` of what is added."""

    def rule(left: Value, right: Value, alpha: complex = 1) -> Any:
        right = right if alpha == 1 else multiply(right, alpha)
        (a, b), (c, d) = parts(left), parts(right)
        re = op(a, c)
        im = b if d is None else op(0 if b is None else b, d)
        im = im if isinstance(im, torch.Tensor) else torch.full_like(re, im)
        return Pair(re, im.expand(re.shape))

    return rule


add, subtract = linear_sum(operator.add), linear_sum(operator.sub)


def reverse_subtract(left: Value, right: Value, alpha: complex = 1) -> Any:
    return subtract(right, left, alpha)


def product(op: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of an op that is linear in both of its first operands."""

    def rule(left: Value, right: Value, *args: Any, **kwargs: Any) -> Pair:
        (a, b), (c, d) = parts(left), parts(right)
        first = op(a, c, *args, **kwargs)
        if d is None:
            return Pair(first, op(b, c, *args, **kwargs))
        if b is None:
            return Pair(first, op(a, d, *args, **kwargs))
        return Pair(
            first - op(b, d, *args, **kwargs),
            op(a, d, *args, **kwargs) + op(b, c, *args, **kwargs),
        )

    return rule


scale = product(operator.mul)


def multiply(left: Value, right: Value) -> Any:
    """A product of tensors and numbers, which may both be real."""
    (a, b), (c, d) = parts(left), parts(right)
    return a * c if b is None and d is None else scale(left, right)


def linear(value: Pair | torch.Tensor, weight: Pair | torch.Tensor, bias: Pair | torch.Tensor | None = None) -> Any:
    """x w^T + b: the bias is added once, and not in each of the products."""
    made = product(aten.linear.default)(value, weight)
    return made if bias is None else add(made, bias)


def convolution(value: Pair | torch.Tensor, weight: Pair | torch.Tensor, bias: Pair | None, *how: Any) -> Any:
    made = product(aten.convolution.default)(value, weight, None, *how)
    if bias is None:
        return made
    shape = [-1] + [1] * (made.re.ndim - 2)
    return add(made, Pair(bias.re.reshape(shape), bias.im.reshape(shape)))


def addmm(
    bias: Pair | torch.Tensor,
    left: Pair | torch.Tensor,
    right: Pair | torch.Tensor,
    *,
    beta: complex = 1,
    alpha: complex = 1,
) -> Any:
    made = product(torch.mm)(left, right)
    return add(multiply(bias, beta) if beta != 1 else bias, multiply(made, alpha) if alpha != 1 else made)


def divide(left: Value, right: Value) -> Pair:
    """By a complex number: both scaled by the larger part of the divisor, so that its square does not overflow."""
    (a, b), (c, d) = parts(left), parts(right)
    if d is None:
        return Pair(a / c, b / c)
    if not isinstance(c, torch.Tensor):
        inverse = 1 / complex(c, d)
        return scale(left, inverse)
    size = torch.maximum(c.abs(), d.abs())
    is_infinite = torch.isinf(size)
    c, d = (torch.where(is_infinite, torch.isinf(part).to(part.dtype), part / size) for part in (c, d))
    square = c * c + d * d
    if b is None:
        return Pair(a * c / square / size, -(a * d) / square / size)
    return Pair((a * c + b * d) / square / size, (b * c - a * d) / square / size)


def reciprocal(value: Pair) -> Pair:
    return divide(torch.ones_like(value.re), value)


def negative(value: Pair) -> Pair:
    return Pair(-value.re, -value.im)


def conjugate(value: Pair | torch.Tensor) -> Any:
    return Pair(value.re, -value.im) if isinstance(value, Pair) else value


def square(value: Pair) -> Pair:
    return scale(value, value)


def nonzero(value: Value) -> torch.Tensor:
    re, im = parts(value)
    return re != 0 if im is None else (re != 0) | (im != 0)


def select(condition: torch.Tensor, left: Value, right: Value) -> Pair:
    example = next(part for part in (parts(left)[0], parts(right)[0]) if isinstance(part, torch.Tensor))
    (a, b), (c, d) = full_parts(left, example), full_parts(right, example)
    return Pair(torch.where(condition, a, c), torch.where(condition, b, d))


WHOLE = range(-8, 9)


def power(base: Value, exponent: Value) -> Any:
    """Whole powers up to 8 as products, of a half as a root, and else exp(exponent log(base)); 0 of a power is 0."""
    if isinstance(base, Pair) and isinstance(exponent, (int, float)) and exponent in WHOLE:
        if exponent == 0:
            return torch.ones_like(base.re)
        whole = functools.reduce(scale, [base] * abs(int(exponent)))
        return whole if exponent > 0 else reciprocal(whole)
    if isinstance(base, Pair) and isinstance(exponent, (int, float)) and exponent == 0.5:
        return root(base)
    if not isinstance(base, (Pair, torch.Tensor)):
        return exponential(scale(exponent, cmath.log(base))) if base else NotImplemented
    base = base if isinstance(base, Pair) else Pair(base, torch.zeros_like(base))
    found = exponential(multiply(natural_logarithm(base), exponent))
    found = select(~nonzero(base) & (parts(exponent)[0] > 0), 0.0, found)
    return select(~nonzero(exponent), 1.0, found) if isinstance(exponent, (Pair, torch.Tensor)) else found


def absolute(value: Pair) -> torch.Tensor:
    return torch.hypot(value.re, value.im)


def angle(value: Pair) -> torch.Tensor:
    return torch.atan2(value.im, value.re)


def polar(radius: torch.Tensor, turn: torch.Tensor) -> Pair:
    return Pair(radius * torch.cos(turn), radius * torch.sin(turn))


def of_turn(real: torch.Tensor, imaginary: torch.Tensor, turn: torch.Tensor) -> Pair:
    """real cos(turn) + i imaginary sin(turn); 0 times what is not finite is 0, and an infinite real part stays."""
    cos, sin = torch.cos(turn), torch.sin(turn)
    re = torch.where((real == 0) | (torch.isinf(real) & torch.isnan(cos)), real, real * cos)
    return Pair(re, torch.where(imaginary == 0, imaginary, torch.where(sin == 0, sin, imaginary * sin)))


def exponential(value: Pair) -> Pair:
    """Where the exponential overflows, its product with a sine may not: a factor is left for the end."""
    shift, limit = (32, 64) if value.re.dtype == torch.float32 else (256, 512)
    is_large = value.re > limit
    size = torch.exp(torch.where(is_large, value.re - shift, value.re))
    made = of_turn(size, size, value.im)
    factor = torch.where(is_large, math.exp(shift), 1.0)
    return Pair(made.re * factor, made.im * factor)


def natural_logarithm(value: Pair) -> Pair:
    return Pair(torch.log(absolute(value)), angle(value))


def logarithm(base: float) -> Callable[..., Any]:
    """The rule of the logarithm to another base."""

    def rule(value: Pair) -> Pair:
        return scale(natural_logarithm(value), 1 / math.log(base))

    return rule


def root(value: Pair) -> Pair:
    """Kahan's: the part that does not cancel, and the other by division; scaled, so that no square overflows."""
    x, y = value.re, value.im
    size = torch.maximum(x.abs(), y.abs())
    exponent = 100 if x.dtype == torch.float32 else 1000
    is_large, is_small = size > 2.0**exponent, size < 2.0**-exponent

    def scaled(part: torch.Tensor, power: int) -> torch.Tensor:
        return torch.where(is_large, part * 2.0**-power, torch.where(is_small, part * 2.0**power, part))

    re, im = scaled(x, 48), scaled(y, 48)
    large = torch.sqrt((torch.hypot(re, im) + re.abs()) / 2)
    small = torch.where(size == 0, size, im.abs() / (2 * large))
    large, small = (torch.where(torch.isinf(y), torch.inf, scaled(part, -24)) for part in (large, small))
    is_right = x >= 0
    return Pair(torch.where(is_right, large, small), torch.copysign(torch.where(is_right, small, large), y))


def sign(value: Pair) -> Pair:
    size = absolute(value)
    divisor = torch.where(size == 0, 1.0, size)
    return Pair(value.re / divisor, value.im / divisor)


def hyperbolic_sine(value: Pair) -> Pair:
    return of_turn(torch.sinh(value.re), torch.cosh(value.re), value.im)


def hyperbolic_cosine(value: Pair) -> Pair:
    return of_turn(torch.cosh(value.re), torch.sinh(value.re), value.im)


def hyperbolic_tangent(value: Pair) -> Pair:
    """Kahan's: of the tangents of the parts. Beyond infinity, turns change nothing."""
    x, y = torch.tanh(value.re), torch.tan(torch.where(torch.isinf(value.re), 0.0, value.im))
    below = 1 + x * x * y * y
    re = torch.where(value.re == 0, value.re, x * (1 + y * y) / below)
    return Pair(re, torch.where(y == 0, y, y / torch.cosh(value.re).square() / below))


def turned(rule: Callable[..., Pair]) -> Callable[..., Any]:
    """The rule of a trigonometric function: f(z) = -i g(iz)."""

    def of(value: Pair) -> Pair:
        made = rule(Pair(-value.im, value.re))
        return Pair(made.im, -made.re)

    return of


def cosine(value: Pair) -> Pair:
    return hyperbolic_cosine(Pair(-value.im, value.re))


def sigmoid(value: Pair) -> Pair:
    return reciprocal(add(exponential(negative(value)), 1))
