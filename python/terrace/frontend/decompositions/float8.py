"""Numbers of 8 bits: casts to them, which IREE rounds otherwise than PyTorch, and products of them, in float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten

SATURATES = {torch.float8_e4m3fn: True, torch.float8_e5m2: False}
"""The types that can be cast to: whether what is too large becomes the largest number, or an infinity."""


def to_copy(value: torch.Tensor, *, dtype: torch.dtype | None = None, **options: Any) -> torch.Tensor:
    """A cast to float8 of what float8 holds exactly; other casts stay as they are."""
    if dtype not in SATURATES or value.dtype == dtype:
        return NotImplemented
    rounded = round_to(value.to(torch.float32), dtype)
    return torch.ops.prims.convert_element_type.default(rounded, dtype)


def round_to(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The nearest of the numbers of `dtype`, of two that are equally near the even one."""
    limits = torch.finfo(dtype)
    dropped = round(math.log2(limits.eps / torch.finfo(torch.float32).eps))
    bits = aten.view.dtype(value, torch.int32)
    # Half of what is dropped, but a bit less of it where the last bit kept is even, carries into the bits kept.
    is_odd = aten.bitwise_and.Scalar(aten.bitwise_right_shift.Tensor_Scalar(bits, dropped), 1)
    carried = bits + ((1 << (dropped - 1)) - 1) + is_odd
    normal = aten.view.dtype(aten.bitwise_and.Scalar(carried, -1 << dropped), torch.float32)
    smallest = limits.smallest_normal * limits.eps
    # The sum of a negative number and more than it is +0.
    subnormal = aten.copysign.Tensor(torch.round(value / smallest) * smallest, value)
    rounded = torch.where(value.abs() < limits.smallest_normal, subnormal, normal)
    if SATURATES[dtype]:
        rounded = rounded.clamp(-limits.max, limits.max)
    else:
        rounded = torch.where(
            rounded.abs() > limits.max, aten.copysign.Tensor(torch.full_like(value, math.inf), value), rounded
        )
    return torch.where(torch.isnan(value), value, rounded)


def scaled_mm(
    first: torch.Tensor,
    second: torch.Tensor,
    first_scale: torch.Tensor,
    second_scale: torch.Tensor,
    bias: torch.Tensor | None = None,
    scale_result: torch.Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    use_fast_accum: bool = False,
) -> torch.Tensor:
    """A product of tensors of float8, scaled whole, or by rows of the first and columns of the second."""
    dtype = out_dtype or first.dtype
    scales_blocks = any(scale.dtype != torch.float32 or scale.ndim > 2 for scale in (first_scale, second_scale))
    if scales_blocks or (scale_result is not None and dtype.itemsize == 1):
        return NotImplemented
    result = first.to(torch.float32) @ second.to(torch.float32) * (first_scale * second_scale)
    if bias is not None:
        result = result + bias.to(torch.float32)
    return result.to(dtype)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten._scaled_mm.default: scaled_mm,
    aten._to_copy.default: to_copy,
}
