"""Quantised arithmetic as `docs/quantization.md` specifies it, in Python's exact integers and fractions."""

from __future__ import annotations

import math
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


def lookup(value: Array, table: Array) -> Array:
    return np.asarray(table[value.astype(int) + 128])


def exponentials(scale: float) -> Array:
    """The table of `graph.integer_softmax` for inputs of this scale."""
    return np.array([round(2**16 * math.exp(-scale * (255 - i))) for i in range(256)], np.int32)


def softmax(value: Array, table: Array) -> Array:
    """Rows of the last dimension, in Python's integers."""
    result = np.empty(value.shape, np.int8)
    for at in np.ndindex(*value.shape[:-1]):
        row = value[at].astype(int).tolist()
        powers = [int(table[255 + x - max(row)]) for x in row]
        factor = (127 << 40) // sum(powers)
        result[at] = [saturate(round(Fraction(power * factor, 1 << 40)), np.int8) for power in powers]
    return result


def layer_norm(value: Array, epsilon: int) -> Array:
    """Rows of the last dimension, in Python's integers."""
    result = np.empty(value.shape, np.int32)
    for at in np.ndindex(*value.shape[:-1]):
        row = value[at].astype(int).tolist()
        centred = [len(row) * x - sum(row) for x in row]
        number = (sum(c * c for c in centred) // len(row) + epsilon) << 16
        factor = (1 << 48) // max(math.isqrt(number), 1)
        result[at] = [round(Fraction(c * factor, 1 << 30)) for c in centred]
    return result
