"""Arithmetic, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._ops import OpOverload

from terrace.lowering.graph.payload_f64 import ERFC

aten = torch.ops.aten
Number = bool | int | float


def with_number(op: OpOverload) -> Callable[[torch.Tensor, Number], torch.Tensor]:
    """The decomposition of an op on a tensor and a number into `op`, which is the same on two tensors."""

    def decompose(value: torch.Tensor, number: Number) -> torch.Tensor:
        dtype = torch.result_type(value, number)
        return op(value.to(dtype), aten.full.default([], number, dtype=dtype))

    return decompose


def of_number(op: OpOverload) -> Callable[[Number, torch.Tensor], torch.Tensor]:
    """The same for an op on a number and a tensor."""

    def decompose(number: Number, value: torch.Tensor) -> torch.Tensor:
        dtype = torch.result_type(number, value)
        return op(aten.full.default([], number, dtype=dtype), value.to(dtype))

    return decompose


def shift(op: OpOverload) -> Callable[[torch.Tensor, torch.Tensor | Number], torch.Tensor]:
    """The decomposition of `<<` or `>>` into `op`, which is the same on tensors of integers."""

    def decompose(value: torch.Tensor, amount: torch.Tensor | Number) -> torch.Tensor:
        if torch.result_type(value, amount).is_floating_point:
            return NotImplemented
        return op(value, amount) if isinstance(amount, torch.Tensor) else with_number(op)(value, amount)

    return decompose


def scalar_tensor(number: Number, *, dtype: torch.dtype | None = None, **options: Any) -> torch.Tensor:
    """What PyTorch's own decompositions make of numbers, as an op that torch-mlir takes."""
    return aten.full.default([], number, dtype=dtype or torch.get_default_dtype())


def angle(value: torch.Tensor) -> torch.Tensor:
    """Of real numbers: pi for negative ones, NaN for NaN."""
    real = value if value.is_floating_point() else value.to(torch.get_default_dtype())
    if value.dtype == torch.bool:
        return torch.zeros_like(real)
    return torch.where(torch.isnan(real), real, (real < 0).to(real.dtype) * math.pi)


def erfinv(value: torch.Tensor) -> torch.Tensor:
    """Giles' approximation (2010) and two steps by Newton in float64; infinite at -1 and 1, NaN beyond."""
    dtype = value.dtype if value.is_floating_point() else torch.get_default_dtype()
    y = value.to(torch.float64)
    # 1 - |y| is exact where it is small.
    rest = 1 - y.abs()
    w = -torch.log(rest * (1 + y.abs()))
    central, tail = polynomial(w - 2.5, GILES_CENTRAL), polynomial(torch.sqrt(w) - 3, GILES_TAIL)
    x = torch.where(w < 5, central, tail) * y.abs()
    for _ in range(2):
        x = x + (torch.special.erfc(x) - rest) * torch.exp(x * x) * (math.sqrt(math.pi) / 2)
    x = torch.where(rest > 0, x, torch.where(rest == 0, math.inf, math.nan))
    return aten.copysign.Tensor(x, y).to(dtype)


GILES_CENTRAL = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
GILES_TAIL = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)
"""The coefficients of erfinv(x) / x, the highest power first."""


def polynomial(x: torch.Tensor, coefficients: Sequence[float]) -> torch.Tensor:
    """By Horner's rule."""
    total = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def erfc(value: torch.Tensor) -> torch.Tensor:
    """In float64, as 1 - erf(x) has no digits of it beyond 1: t * exp(-x^2 + a polynomial of t = 2 / (2 + |x|))."""
    dtype = value.dtype if value.is_floating_point() else torch.get_default_dtype()
    x = value.to(torch.float64)
    size = x.abs().clamp(max=40.0)
    t = 2 / (2 + size)
    # exp(-x^2) has the relative error that x^2 has absolutely: so its first digits, and the rest.
    first = size.to(torch.float32).to(torch.float64)
    power = torch.exp(-(first * first)) * torch.exp(chebyshev(4 * t - 2, ERFC) - (size - first) * (size + first))
    tail = torch.where(x < 0, 2 - t * power, t * power)
    return torch.where(size < 1, 1 - torch.erf(x), tail).to(dtype)


def chebyshev(twice: torch.Tensor, coefficients: Sequence[float]) -> torch.Tensor:
    """The sum of Chebyshev's polynomials at half of `twice`, the first one halved, by Clenshaw's rule."""
    last = total = torch.zeros_like(twice)
    for coefficient in coefficients[:0:-1]:
        total, last = twice * total - last + coefficient, total
    return 0.5 * (twice * total + coefficients[0]) - last


def isclose(
    lhs: torch.Tensor, rhs: torch.Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> torch.Tensor:
    """Whether numbers are equal, or finite and `atol + rtol * abs(rhs)` or less apart, in the arithmetic of eager."""
    close = lhs == rhs
    if equal_nan and lhs.is_floating_point():
        close = torch.logical_or(close, torch.logical_and(lhs.isnan(), rhs.isnan()))
    if rtol == 0 and atol == 0:
        return close
    lhs = lhs.to(torch.get_default_dtype()) if lhs.dtype == torch.bool else lhs
    rhs = rhs if rhs.is_floating_point() else rhs.to(torch.get_default_dtype())
    error = (lhs - rhs).abs()
    return torch.logical_or(close, torch.logical_and(error.isfinite(), error <= atol + (rtol * rhs).abs()))


def log10(value: torch.Tensor) -> torch.Tensor:
    """IREE's CPU code has no log10."""
    return torch.log(value) * (1 / math.log(10))


def hypot(lhs: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    """The root of the sum of squares, none of which overflows or vanishes; an infinity beats NaN."""
    dtype = torch.result_type(lhs, rhs)
    lhs, rhs = lhs.to(dtype).abs(), rhs.to(dtype).abs()
    is_infinite = torch.logical_or(lhs == math.inf, rhs == math.inf)
    if dtype != torch.float64:
        # float64 holds the squares of all smaller types.
        lhs, rhs = lhs.to(torch.float64), rhs.to(torch.float64)
        root = torch.sqrt(lhs * lhs + rhs * rhs)
    else:
        large, small = torch.maximum(lhs, rhs), torch.minimum(lhs, rhs)
        ratio = torch.where(large > 0, small / large, large)
        root = large * torch.sqrt(1 + ratio * ratio)
    return torch.where(is_infinite, math.inf, root.to(dtype))


def signbit(value: torch.Tensor) -> torch.Tensor:
    """Whether the sign bit is set, of zeros and NaN, too."""
    if value.dtype == torch.bool:
        return torch.zeros_like(value)
    if not value.is_floating_point():
        return value < 0
    return aten.copysign.Tensor(torch.ones_like(value), value) < 0


def threshold_backward(gradient: torch.Tensor, value: torch.Tensor, threshold: Number) -> torch.Tensor:
    """In the common type of both tensors, the threshold too; PyTorch's own decomposition keeps the gradient's."""
    dtype = torch.result_type(gradient, value)
    bound = threshold if dtype.is_floating_point else int(threshold)
    return torch.where(value.to(dtype) <= bound, 0, gradient.to(dtype))


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.__lshift__.Scalar: shift(aten.bitwise_left_shift.Tensor),
    aten.__lshift__.Tensor: shift(aten.bitwise_left_shift.Tensor),
    aten.__rshift__.Scalar: shift(aten.bitwise_right_shift.Tensor),
    aten.__rshift__.Tensor: shift(aten.bitwise_right_shift.Tensor),
    aten.angle.default: angle,
    aten.bitwise_and.Scalar_Tensor: of_number(aten.bitwise_and.Tensor),
    aten.bitwise_left_shift.Scalar_Tensor: of_number(aten.bitwise_left_shift.Tensor),
    aten.bitwise_left_shift.Tensor_Scalar: with_number(aten.bitwise_left_shift.Tensor),
    aten.bitwise_or.Scalar_Tensor: of_number(aten.bitwise_or.Tensor),
    aten.bitwise_right_shift.Scalar_Tensor: of_number(aten.bitwise_right_shift.Tensor),
    aten.bitwise_right_shift.Tensor_Scalar: with_number(aten.bitwise_right_shift.Tensor),
    aten.bitwise_xor.Scalar_Tensor: of_number(aten.bitwise_xor.Tensor),
    aten.copysign.Scalar: with_number(aten.copysign.Tensor),
    aten.erfc.default: erfc,
    aten.erfinv.default: erfinv,
    aten.hypot.default: hypot,
    aten.isclose.default: isclose,
    aten.log10.default: log10,
    aten.remainder.Scalar_Tensor: of_number(aten.remainder.Tensor),
    aten.signbit.default: signbit,
    aten.threshold_backward.default: threshold_backward,
    torch.ops.prims.scalar_tensor.default: scalar_tensor,
}
