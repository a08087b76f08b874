"""Tensors of PyTorch's quantised types, which it cannot export: while a model is traced, integers stand for them.

A model may make them and take their integers or real numbers; nothing else is known of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

INTEGERS = {torch.qint8: torch.int8, torch.quint8: torch.uint8, torch.qint32: torch.int32}


@dataclasses.dataclass(frozen=True)
class Quantized:
    """(integers - zero_point) * scale; both are numbers, or vectors along a dimension that broadcast."""

    integers: torch.Tensor
    scale: float | torch.Tensor
    zero_point: int | torch.Tensor

    def dequantize(self) -> torch.Tensor:
        """The real numbers."""
        if self.integers.dtype == torch.int32:
            return ((self.integers.to(torch.float64) - self.zero_point) * self.scale).to(torch.float32)
        return (self.integers.to(torch.float32) - self.zero_point) * self.scale

    def int_repr(self) -> torch.Tensor:
        """The integers."""
        return self.integers

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        if func in (torch.dequantize, torch.int_repr):
            return getattr(args[0], func.__name__)()
        name = getattr(func, "__name__", func)
        raise NotImplementedError(f"{name} of a quantised tensor is not supported: call dequantize() on it first")


def quantize(value: torch.Tensor, scale: float, zero_point: int, dtype: torch.dtype) -> Quantized:
    """The nearest integers, of two that are equally near the even one, as eager rounds them.

    It multiplies by the inverse and adds the zero point in float32, for integers of 8 bits by one operation.
    """
    product = value.to(torch.float64) * float(np.float32(1) / np.float32(scale))
    product = product.to(torch.float32) if dtype == torch.qint32 else product
    of_nan = torch.iinfo(torch.int32).min if dtype == torch.qint32 else torch.iinfo(torch.int32).max
    shifted = torch.where(torch.isnan(value), of_nan, (product + zero_point).to(torch.float32))
    return rounded(shifted, scale, zero_point, dtype)


def rounded(value: torch.Tensor, scale: Any, zero_point: Any, dtype: torch.dtype) -> Quantized:
    """`value`, in units of `scale` from 0 on, as the nearest integers that there are."""
    integers, limits = INTEGERS[dtype], torch.iinfo(INTEGERS[dtype])
    nearest = torch.round(value).to(torch.float64).clamp(limits.min, limits.max)
    return Quantized(nearest.to(integers), scale, zero_point)


def along(value: torch.Tensor, axis: int, vector: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A vector in a shape that broadcasts to `value` along a dimension."""
    return vector.to(dtype).reshape([-1 if axis == place else 1 for place in range(value.ndim)])


def quantize_per_channel(
    value: torch.Tensor, scales: torch.Tensor, zero_points: torch.Tensor, axis: int, dtype: torch.dtype
) -> Quantized:
    scale, zero_point = along(value, axis, scales, torch.float32), along(value, axis, zero_points, torch.int64)
    return rounded(torch.round(value * (1 / scale)) + zero_point, scale, zero_point, dtype)


def per_channel(integers: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor, axis: int) -> Quantized:
    found = along(integers, axis, scale, torch.float32), along(integers, axis, zero_point, torch.int64)
    return Quantized(integers, *found)


MAKERS: dict[Any, Callable[..., Quantized]] = {
    torch._make_per_channel_quantized_tensor: per_channel,
    torch._make_per_tensor_quantized_tensor: Quantized,
    torch.quantize_per_channel: quantize_per_channel,
    torch.quantize_per_tensor: quantize,
}
