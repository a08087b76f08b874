"""What each op on complex tensors is in real ops: formulas on pairs of a real and an imaginary part.

An op that has no rule here is refused. A real operand has no imaginary part, rather than one of zeros, so a real factor
scales both parts. The formulas with branches and scaling follow Kahan, "Branch cuts for complex elementary functions",
1987, and Smith, "Algorithm 116: complex division", 1962.
"""

from __future__ import annotations

import cmath
import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

aten = torch.ops.aten
prims = torch.ops.prims

REAL_TYPES = {torch.complex64: torch.float32, torch.complex128: torch.float64}
"""The type of the parts of each complex type."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """A complex tensor: two real ones of the same shape and type."""

    re: torch.Tensor
    im: torch.Tensor


# ---------------------------------------------------------------------------------------------------------------------
# Between complex and real
# ---------------------------------------------------------------------------------------------------------------------


def view_as_complex(value: torch.Tensor) -> Pair:
    """The complex tensor that a real one with a last axis of size 2 stands for."""
    return Pair(value.select(-1, 0), value.select(-1, 1))


def as_tensor(value: Any) -> Any:
    """A pair as a real tensor with a last axis of size 2; anything else as it is."""
    return torch.stack([value.re, value.im], -1) if isinstance(value, Pair) else value


def parts(value: Any) -> tuple[Any, Any]:
    """The real and the imaginary part of a pair, a tensor or a number; None for that of something real."""
    if isinstance(value, Pair):
        return value.re, value.im
    return (value.real, value.imag) if isinstance(value, complex) else (value, None)


def full_parts(value: Any, like: torch.Tensor) -> tuple[Any, Any]:
    """The two parts, with zeros for the imaginary one of something real; numbers stay numbers."""
    re, im = parts(value)
    if im is None:
        im = torch.zeros_like(re, dtype=like.dtype) if isinstance(re, torch.Tensor) else 0.0
    return re.to(like.dtype) if isinstance(re, torch.Tensor) else re, im


def pair_in(values: Sequence[Any]) -> torch.Tensor:
    """A part of the first pair among `values`, for its type."""
    return next(value.re for value in values if isinstance(value, Pair))


def to_type(found: Any, result: Any) -> Any:
    """What a rule found, in the type that the op's result `result` has."""
    if isinstance(found, (list, tuple)):
        return [to_type(item, one) for item, one in zip(found, result, strict=True)]
    if isinstance(found, Pair):
        if not result.is_complex():
            return found.re.to(result.dtype)
        return Pair(found.re.to(REAL_TYPES[result.dtype]), found.im.to(REAL_TYPES[result.dtype]))
    if not isinstance(found, torch.Tensor):
        return found
    if result.is_complex():
        real = found.to(REAL_TYPES[result.dtype])
        return Pair(real, torch.zeros_like(real))
    return found.to(result.dtype)


def made_of_reals(target: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What an op without complex operands makes: a tensor of one number."""
    name = target.overloadpacket.__name__
    if name in ("full", "full_like", "new_full"):
        *sizes, number = args
        re, im = (number.real, number.imag) if isinstance(number, complex) else (number, 0.0)
        return Pair(target(*sizes, float(re), **kwargs), target(*sizes, float(im), **kwargs))
    if name == "scalar_tensor":
        re, im = parts(args[0])
        return Pair(target(float(re), **kwargs), target(float(im or 0), **kwargs))
    if name in CREATORS:
        return target(*args, **kwargs)
    return NotImplemented


CREATORS = (
    *("ones", "zeros", "empty", "ones_like", "zeros_like", "empty_like", "new_ones", "new_zeros", "new_empty", "eye"),
    *("empty_strided", "new_empty_strided"),
)
"""Ops that make a real tensor of no number that is given."""


def like(op: Any) -> Callable[..., Any]:
    """The rule of an op that takes the form of a complex tensor, or of a real one for a complex."""

    def rule(value: Any, *args: Any, **kwargs: Any) -> Any:
        template = value.re if isinstance(value, Pair) else value
        if args and op in (aten.full_like, aten.new_full):
            *sizes, number = args
            re, im = parts(number)
            return Pair(op(template, *sizes, re, **kwargs), op(template, *sizes, im or 0.0, **kwargs))
        return op(template, *args, **kwargs)

    return rule


def convert(value: Any, dtype: torch.dtype | None = None, **_: Any) -> Any:
    """A conversion, which `to_type` makes of the value: the imaginary part goes where the result is real."""
    return nonzero(value) if dtype == torch.bool else value


# ---------------------------------------------------------------------------------------------------------------------
# Arithmetic
# ---------------------------------------------------------------------------------------------------------------------


def by_parts(op: Any) -> Callable[..., Any]:
    """The rule of an op that does the same to both parts, and has one complex operand, the first."""

    def rule(value: Pair, *args: Any, **kwargs: Any) -> Any:
        re, im = op(value.re, *args, **kwargs), op(value.im, *args, **kwargs)
        return [Pair(*both) for both in zip(re, im, strict=True)] if isinstance(re, (list, tuple)) else Pair(re, im)

    return rule


def by_all_parts(op: Any) -> Callable[..., Any]:
    """The rule of an op that moves elements of several operands: to the parts of each, zeros for what is real."""

    def rule(*args: Any, **kwargs: Any) -> Any:
        flat = [item for arg in args for item in (arg if isinstance(arg, (list, tuple)) else [arg])]
        example = pair_in(flat)

        def side(value: Any, index: int) -> Any:
            if isinstance(value, (list, tuple)):
                return [side(item, index) for item in value]
            is_value = isinstance(value, (Pair, complex)) or (
                isinstance(value, torch.Tensor) and value.is_floating_point()
            )
            return full_parts(value, example)[index] if is_value else value

        return Pair(*(op(*(side(arg, index) for arg in args), **kwargs) for index in (0, 1)))

    return rule


def linear_sum(op: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of a sum or difference, with the factor `alpha` of what is added."""

    def rule(left: Any, right: Any, alpha: Any = 1) -> Any:
        right = right if alpha == 1 else multiply(right, alpha)
        (a, b), (c, d) = parts(left), parts(right)
        re = op(a, c)
        im = b if d is None else op(0 if b is None else b, d)
        im = im if isinstance(im, torch.Tensor) else torch.full_like(re, im)
        return Pair(re, im.expand(re.shape))

    return rule


add, subtract = linear_sum(operator.add), linear_sum(operator.sub)


def reverse_subtract(left: Any, right: Any, alpha: Any = 1) -> Any:
    return subtract(right, left, alpha)


def product(op: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of an op that is linear in both of its first operands."""

    def rule(left: Any, right: Any, *args: Any, **kwargs: Any) -> Pair:
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


def multiply(left: Any, right: Any) -> Any:
    """A product of tensors and numbers, which may both be real."""
    is_real = parts(left)[1] is None and parts(right)[1] is None
    return left * right if is_real else scale(left, right)


def linear(value: Any, weight: Any, bias: Any = None) -> Any:
    """x w^T + b: the bias is added once, and not in each of the products."""
    made = product(aten.linear.default)(value, weight)
    return made if bias is None else add(made, bias)


def convolution(value: Any, weight: Any, bias: Any, *how: Any) -> Any:
    made = product(aten.convolution.default)(value, weight, None, *how)
    if bias is None:
        return made
    shape = [-1] + [1] * (made.re.ndim - 2)
    return add(made, Pair(bias.re.reshape(shape), bias.im.reshape(shape)))


def addmm(bias: Any, left: Any, right: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    made = product(torch.mm)(left, right)
    return add(multiply(bias, beta) if beta != 1 else bias, multiply(made, alpha) if alpha != 1 else made)


def divide(left: Any, right: Any) -> Pair:
    """By a complex number: both scaled by the larger part of the divisor, so that its square does not overflow."""
    (a, b), (c, d) = parts(left), parts(right)
    if d is None:
        return Pair(a / c, b / c)
    if not isinstance(c, torch.Tensor):
        inverse = 1 / complex(c, d)
        return scale(left, inverse)
    size = torch.maximum(c.abs(), d.abs())
    c, d = c / size, d / size
    square = c * c + d * d
    if b is None:
        return Pair(a * c / square / size, -(a * d) / square / size)
    return Pair((a * c + b * d) / square / size, (b * c - a * d) / square / size)


def reciprocal(value: Pair) -> Pair:
    return divide(torch.ones_like(value.re), value)


def negative(value: Pair) -> Pair:
    return Pair(-value.re, -value.im)


def conjugate(value: Any) -> Any:
    return Pair(value.re, -value.im) if isinstance(value, Pair) else value


def square(value: Pair) -> Pair:
    return scale(value, value)


def power(base: Any, exponent: Any) -> Any:
    """Whole powers up to 8 as products, of a half as a root, and else exp(exponent log(base)); 0 of a power is 0."""
    if isinstance(exponent, (int, float)) and exponent == int(exponent) and 0 <= abs(exponent) <= 8:
        if exponent == 0:
            return torch.ones_like(base.re)
        whole = functools.reduce(scale, [base] * abs(int(exponent)))
        return whole if exponent > 0 else reciprocal(whole)
    if exponent == 0.5:
        return root(base)
    if not isinstance(base, (Pair, torch.Tensor)):
        return exponential(scale(exponent, cmath.log(base))) if base else NotImplemented
    base = base if isinstance(base, Pair) else Pair(base, torch.zeros_like(base))
    found = exponential(multiply(natural_logarithm(base), exponent))
    real = parts(exponent)[0]
    is_zero, is_one = ~nonzero(base) & (real > 0), nonzero(exponent) == 0
    return (
        select(is_one, 1.0, select(is_zero, 0.0, found))
        if isinstance(is_one, torch.Tensor)
        else select(is_zero, 0.0, found)
    )


# ---------------------------------------------------------------------------------------------------------------------
# Functions
# ---------------------------------------------------------------------------------------------------------------------


def absolute(value: Pair) -> torch.Tensor:
    return torch.hypot(value.re, value.im)


def angle(value: Pair) -> torch.Tensor:
    return torch.atan2(value.im, value.re)


def polar(radius: torch.Tensor, turn: torch.Tensor) -> Pair:
    return Pair(radius * torch.cos(turn), radius * torch.sin(turn))


def exponential(value: Pair) -> Pair:
    return polar(torch.exp(value.re), value.im)


def natural_logarithm(value: Pair) -> Pair:
    return Pair(torch.log(absolute(value)), angle(value))


def logarithm(base: float) -> Callable[..., Any]:
    """The rule of the logarithm to another base."""

    def rule(value: Pair) -> Pair:
        return scale(natural_logarithm(value), 1 / math.log(base))

    return rule


def root(value: Pair) -> Pair:
    """Kahan's: the part that does not cancel, and the other by division."""
    x, y = value.re, value.im
    large = torch.sqrt((absolute(value) + x.abs()) / 2)
    small = torch.where(large == 0, large, y.abs() / (2 * large))
    is_right = x >= 0
    return Pair(torch.where(is_right, large, small), torch.copysign(torch.where(is_right, small, large), y))


def sign(value: Pair) -> Pair:
    size = absolute(value)
    divisor = torch.where(size == 0, 1.0, size)
    return Pair(value.re / divisor, value.im / divisor)


def hyperbolic_sine(value: Pair) -> Pair:
    return Pair(torch.sinh(value.re) * torch.cos(value.im), torch.cosh(value.re) * torch.sin(value.im))


def hyperbolic_cosine(value: Pair) -> Pair:
    return Pair(torch.cosh(value.re) * torch.cos(value.im), torch.sinh(value.re) * torch.sin(value.im))


def hyperbolic_tangent(value: Pair) -> Pair:
    """Kahan's: of the tangents of the parts."""
    x, y = torch.tanh(value.re), torch.tan(value.im)
    below = 1 + x * x * y * y
    return Pair(x * (1 + y * y) / below, y / torch.cosh(value.re).square() / below)


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


# ---------------------------------------------------------------------------------------------------------------------
# Questions and reductions
# ---------------------------------------------------------------------------------------------------------------------


def nonzero(value: Any) -> torch.Tensor:
    re, im = parts(value)
    return re != 0 if im is None else (re != 0) | (im != 0)


def equal(left: Any, right: Any) -> torch.Tensor:
    return ~unequal(left, right)


def unequal(left: Any, right: Any) -> torch.Tensor:
    (a, b), (c, d) = parts(left), parts(right)
    im = d != 0 if b is None else b != (0 if d is None else d)
    return torch.ne(a, c) | im


def of_either(op: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    """The rule of a question that one part answers with yes."""
    return lambda value: op(value.re) | op(value.im)


def of_truth(op: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    """The rule of a logical op: on what is not zero."""

    def rule(*args: Any, **kwargs: Any) -> torch.Tensor:
        truths = [nonzero(arg) if isinstance(arg, (Pair, torch.Tensor)) else arg for arg in args]
        return op(*truths, **kwargs)

    return rule


def select(condition: torch.Tensor, left: Any, right: Any) -> Pair:
    example = next(part for part in (parts(left)[0], parts(right)[0]) if isinstance(part, torch.Tensor))
    (a, b), (c, d) = full_parts(left, example), full_parts(right, example)
    return Pair(torch.where(condition, a, c), torch.where(condition, b, d))


def masked_fill(value: Pair, mask: torch.Tensor, number: Any) -> Pair:
    return select(mask, number, value)


def variance(value: Pair, *args: Any, **kwargs: Any) -> torch.Tensor:
    return aten.var(value.re, *args, **kwargs) + aten.var(value.im, *args, **kwargs)


def norm(value: Pair, *args: Any, **kwargs: Any) -> torch.Tensor:
    return aten.linalg_vector_norm.default(absolute(value), *args, **kwargs)


def index_add(value: Any, dim: int, index: torch.Tensor, source: Any, *, alpha: Any = 1) -> Pair:
    return by_all_parts(aten.index_add.default)(value, dim, index, multiply(source, alpha) if alpha != 1 else source)


def pad(value: Pair, sizes: Sequence[int], number: Any = 0) -> Pair:
    re, im = parts(number)
    return Pair(aten.constant_pad_nd(value.re, sizes, re), aten.constant_pad_nd(value.im, sizes, im or 0))


BY_PARTS = (
    *(aten._unsafe_view, aten.alias, aten.clone, aten.contiguous, aten.cumsum, aten.detach, aten.diagonal, aten.expand),
    *(aten.expand_copy, aten.flip, aten.gather, aten.index, aten.index_select, aten.mean, aten.permute, aten.repeat),
    *(aten.roll, aten.select, aten.slice, aten.split, aten.split_with_sizes, aten.squeeze, aten.sum, aten.t),
    *(aten.transpose, aten.unbind, aten.unsqueeze, aten.view, aten.view_copy, aten.reshape, aten.unfold),
    *(aten._reshape_alias, aten.col2im, aten.im2col, aten.avg_pool2d, aten.tril, aten.triu, aten._unsafe_index),
    *(aten.chunk, aten.narrow, aten.lift_fresh_copy, aten.unfold_copy, aten.slice_copy, aten.select_copy, aten.trace),
    *(aten.reflection_pad1d, aten.reflection_pad2d, aten.replication_pad1d, aten.replication_pad2d, aten.rot90),
    *(prims.squeeze, prims.transpose, prims.view_of, prims.split_dim, prims.collapse_view, prims.broadcast_in_dim),
    *(aten.permute_copy, aten.transpose_copy, aten.unsqueeze_copy, aten.squeeze_copy, aten.diagonal_copy),
)
"""Ops that do the same to both parts."""

BY_ALL_PARTS = (
    *(aten.cat, aten.stack, aten.slice_scatter, aten.select_scatter, aten.diagonal_scatter, aten.scatter_add),
    *(aten.index_put, aten._unsafe_index_put, aten.masked_scatter, aten.copy, aten.index_copy),
)
"""Ops that move elements of several operands."""

RULES: dict[Any, Callable[..., Any]] = {
    **{op: by_parts(op) for op in BY_PARTS},
    **{op: by_all_parts(op) for op in BY_ALL_PARTS},
    **{op: product(op) for op in (aten.bmm, aten.dot, aten.matmul, aten.mm, aten.mv)},
    **{
        op: like(op)
        for op in (
            *(aten.empty_like, aten.full_like, aten.new_empty, aten.new_full, aten.new_ones, aten.new_zeros),
            *(aten.ones_like, aten.zeros_like),
        )
    },
    aten._conj: conjugate,
    aten._conj_copy: conjugate,
    aten._conj_physical: conjugate,
    aten._neg_view: negative,
    aten._to_copy: convert,
    aten.abs: absolute,
    aten.add: add,
    aten.addmm: addmm,
    aten.all: of_truth(aten.all),
    aten.angle: angle,
    aten.any: of_truth(aten.any),
    aten.complex: Pair,
    aten.conj_physical: conjugate,
    aten.constant_pad_nd: pad,
    aten.convolution: convolution,
    aten.cos: cosine,
    aten.cosh: hyperbolic_cosine,
    aten.div: divide,
    aten.eq: equal,
    aten.exp: exponential,
    aten.fill: lambda value, number: select(torch.full_like(value.re, True, dtype=torch.bool), number, value),
    aten.imag: lambda value: value.im,
    aten.index_add: index_add,
    aten.isfinite: lambda value: torch.isfinite(value.re) & torch.isfinite(value.im),
    aten.isinf: of_either(torch.isinf),
    aten.isnan: of_either(torch.isnan),
    aten.linalg_vector_norm: norm,
    aten.linear: linear,
    aten.log: natural_logarithm,
    aten.log10: logarithm(10),
    aten.log2: logarithm(2),
    aten.logical_and: of_truth(torch.logical_and),
    aten.logical_not: of_truth(torch.logical_not),
    aten.logical_or: of_truth(torch.logical_or),
    aten.logical_xor: of_truth(torch.logical_xor),
    aten.masked_fill: masked_fill,
    aten.mul: multiply,
    aten.ne: unequal,
    aten.neg: negative,
    aten.polar: polar,
    aten.pow: power,
    aten.real: lambda value: value.re,
    aten.reciprocal: reciprocal,
    aten.resolve_conj: lambda value: value,
    aten.resolve_neg: lambda value: value,
    aten.rsqrt: lambda value: reciprocal(root(value)),
    aten.rsub: reverse_subtract,
    aten.scatter.src: by_all_parts(aten.scatter.src),
    aten.sgn: sign,
    aten.sigmoid: sigmoid,
    aten.sin: turned(hyperbolic_sine),
    aten.sinh: hyperbolic_sine,
    aten.sqrt: root,
    aten.square: square,
    aten.sub: subtract,
    aten.tan: turned(hyperbolic_tangent),
    aten.tanh: hyperbolic_tangent,
    aten.var: variance,
    aten.view_as_complex: view_as_complex,
    aten.view_as_complex_copy: view_as_complex,
    aten.view_as_real: as_tensor,
    aten.view_as_real_copy: as_tensor,
    aten.where: select,
    prims.convert_element_type: convert,
}
"""The rule of each op, by all of its overloads."""
