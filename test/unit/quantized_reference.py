"""Quantised arithmetic as `docs/quantization.md` specifies it, in Python's exact integers and fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray


def saturate(number: int, dtype: Any) -> int:
    limits = np.iinfo(dtype)
    return max(int(limits.min), min(int(limits.max), number))


def each(function: Callable[..., int], dtype: Any, *operands: Any) -> Array:
    """`function` of the numbers of the (broadcast) operands, saturated to `dtype`."""
    arrays = np.broadcast_arrays(*operands)
    flat = [saturate(function(*numbers), dtype) for numbers in zip(*(a.ravel().tolist() for a in arrays), strict=True)]
    return np.array(flat, dtype).reshape(arrays[0].shape)


def requantize(value: Any, multiplier: Any, shift: Any, dtype: Any = np.int8) -> Array:
    """round(value * multiplier / 2^shift); Python's round takes ties to even."""
    return each(lambda v, m, s: round(Fraction(v * m, 1 << s)), dtype, value, multiplier, shift)


def scaled_add(left: Any, right: Any, left_multiplier: int, right_multiplier: int, shift: int) -> Array:
    """round((left * left_multiplier + right * right_multiplier) / 2^shift)."""
    return each(
        lambda a, b: round(Fraction(a * left_multiplier + b * right_multiplier, 1 << shift)), np.int8, left, right
    )


def quantize(value: Any, scale: Any, dtype: Any = np.int8) -> Array:
    """round(value / scale) of float32 numbers; NaN gives 0."""
    with np.errstate(all="ignore"):
        ratio = (np.asarray(value, np.float32) / np.asarray(scale, np.float32)).astype(np.float64)
    limits = np.iinfo(dtype)
    rounded = np.nan_to_num(np.rint(ratio), posinf=np.inf, neginf=-np.inf)
    return np.clip(rounded, limits.min, limits.max).astype(dtype)
