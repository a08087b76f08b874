"""Discrete Fourier transforms as products with constant matrices, which our kernels run.

A length beyond `DENSE` is split into factors by the rule of Cooley and Tukey (1965). The matrices come by an op of our
own, `terrace::roots_of_unity`, which the compiler evaluates once, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from terrace.frontend.complex_functions import scale
from terrace.frontend.complex_pairs import Pair, Refused, static

aten = torch.ops.aten

DENSE = 256
"""The longest transform that is one product, if its length has factors."""

LONGEST = 2048
"""The longest one that is a product where it has none: a matrix of 64 MiB in float32."""

SCALES: tuple[Callable[[int], float], ...] = (lambda n: 1.0, lambda n: 1 / math.sqrt(n), lambda n: 1 / n)
"""The factor of each `normalization` of PyTorch's transforms."""

_library = torch.library.Library("terrace", "FRAGMENT")
_library.define("roots_of_unity(int[] size, int length, bool imaginary, ScalarType dtype) -> Tensor")


@torch.library.register_fake("terrace::roots_of_unity", lib=_library)
def _(size: Sequence[int], length: int, imaginary: bool, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(size, dtype=dtype)


def roots(rows: int, columns: int, length: int, sign: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin of sign * 2 pi * row * column / length."""
    made = [torch.ops.terrace.roots_of_unity([rows, columns], length, part, dtype) for part in (False, True)]
    return made[0], made[1] if sign > 0 else -made[1]


def transform(value: Pair, sign: int) -> Pair:
    """The transform along the last axis, not scaled: sum of x[j] exp(sign * 2 pi i j k / n)."""
    length = static(value.re.shape[-1])
    inner = largest_factor(length)
    if length <= DENSE or inner == 1:
        if length > LONGEST:
            raise Refused(f"the prime factor {length} of its length is beyond {LONGEST}: give it another length")
        return multiplied(value, *roots(length, length, length, sign, value.re.dtype))
    return split(value, inner, sign)


def largest_factor(length: int) -> int:
    """The largest factor up to the root of a length."""
    return next((n for n in range(math.isqrt(length), 1, -1) if length % n == 0), 1)


def multiplied(value: Pair, cos: torch.Tensor, sin: torch.Tensor) -> Pair:
    """`value` times the matrix cos + i sin, along the last axis, as one product."""
    matrix = torch.cat([torch.cat([cos, sin], 1), torch.cat([-sin, cos], 1)], 0)
    made = along_rows(torch.cat([value.re, value.im], -1), matrix)
    return halves(made, cos.shape[1])


def along_rows(value: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """A product of all rows at once."""
    rows = value.reshape(-1, value.shape[-1]) if value.numel() != 0 else value.new_zeros(0, value.shape[-1])
    return torch.mm(rows, matrix).reshape([*value.shape[:-1], matrix.shape[1]])


def halves(value: torch.Tensor, size: int) -> Pair:
    return Pair(value[..., :size], value[..., size:])


def split(value: Pair, inner: int, sign: int) -> Pair:
    """Transforms of length `inner`, factors of modulus 1, and transforms of what is left.

    With j = outer * j1 + j2 and k = k1 + inner * k2, the exponent j k is outer j1 k1 + j2 k1 + inner j2 k2.
    """
    shape = list(value.re.shape[:-1])
    outer = value.re.shape[-1] // inner
    columns = Pair(*(part.reshape([*shape, inner, outer]).transpose(-1, -2) for part in (value.re, value.im)))
    first = transform(columns, sign)
    twisted = scale(first, Pair(*roots(outer, inner, inner * outer, sign, first.re.dtype)))
    second = transform(Pair(twisted.re.transpose(-1, -2), twisted.im.transpose(-1, -2)), sign)
    return Pair(*(part.transpose(-1, -2).reshape([*shape, inner * outer]) for part in (second.re, second.im)))


def along(value: Pair, axis: int, step: Callable[[Pair], Pair]) -> Pair:
    """`step`, which works along the last axis, along another one."""
    made = step(Pair(value.re.movedim(axis, -1), value.im.movedim(axis, -1)))
    return Pair(made.re.movedim(-1, axis), made.im.movedim(-1, axis))


def normalized(value: Pair | torch.Tensor, sizes: Sequence[Any], normalization: int) -> Any:
    """The result of transforms of these lengths, scaled."""
    factor = SCALES[normalization](math.prod(static(size) for size in sizes))
    if factor == 1:
        return value
    return scale(value, factor) if isinstance(value, Pair) else value * factor


def complex_to_complex(value: Pair, dims: Sequence[int], normalization: int, forward: bool) -> Pair:
    """`aten._fft_c2c`."""
    sizes = [value.re.shape[axis] for axis in dims]
    for axis in dims:
        value = along(value, axis, lambda part: transform(part, -1 if forward else 1))
    return normalized(value, sizes, normalization)


def real_to_complex(value: torch.Tensor, dims: Sequence[int], normalization: int, onesided: bool) -> Pair:
    """`aten._fft_r2c`: the last of `dims` is cut after its middle if `onesided`."""
    sizes = [value.shape[axis] for axis in dims]
    moved = value.movedim(dims[-1], -1)
    length = static(sizes[-1])
    kept = length // 2 + 1 if onesided else length
    if length <= DENSE:
        cos, sin = roots(length, kept, length, -1, value.dtype)
        made = halves(along_rows(moved, torch.cat([cos, sin], 1)), kept)
    else:
        whole = transform(Pair(moved, torch.zeros_like(moved)), -1)
        made = Pair(whole.re[..., :kept], whole.im[..., :kept])
    made = Pair(made.re.movedim(-1, dims[-1]), made.im.movedim(-1, dims[-1]))
    for axis in dims[:-1]:
        made = along(made, axis, lambda part: transform(part, -1))
    return normalized(made, sizes, normalization)


def complex_to_real(value: Pair, dims: Sequence[int], normalization: int, length: int | torch.SymInt) -> torch.Tensor:
    """`aten._fft_c2r`: the last of `dims` holds the first half of a spectrum of `length` that is its own mirror.

    The imaginary parts that a mirror cannot have, of the first and of an even length's middle, are not read.
    """
    length = static(length)
    sizes = [*(value.re.shape[axis] for axis in dims[:-1]), length]
    for axis in dims[:-1]:
        value = along(value, axis, lambda part: transform(part, 1))
    kept, mirrored = length // 2 + 1, (length - 1) // 2
    real, imaginary = (part.movedim(dims[-1], -1)[..., :kept] for part in (value.re, value.im))
    inside = imaginary[..., 1 : 1 + mirrored]
    ends = torch.zeros_like(imaginary[..., :1])
    middle = [ends] if length % 2 == 0 else []
    # The mirror adds the conjugate of each term that has one, so the real part is that of the half, counted twice.
    re = torch.cat([real[..., :1], real[..., 1 : 1 + mirrored] * 2, real[..., 1 + mirrored :]], -1)
    im = torch.cat([ends, inside * 2, *middle], -1)
    if length <= DENSE:
        cos, sin = roots(kept, length, length, 1, real.dtype)
        made = along_rows(torch.cat([re, im], -1), torch.cat([cos, -sin], 0))
    else:
        beyond = [0, length - kept]
        made = transform(Pair(torch.constant_pad_nd(re, beyond), torch.constant_pad_nd(im, beyond)), 1).re
    return normalized(made.movedim(-1, dims[-1]), sizes, normalization)


FOURIER: dict[Any, Callable[..., Any]] = {
    aten._fft_c2c.default: complex_to_complex,
    aten._fft_c2r.default: complex_to_real,
    aten._fft_r2c.default: real_to_complex,
}
