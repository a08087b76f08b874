"""Every op on complex tensors that has a rule, against eager, in both precisions.

An element may err by `BOUND` of the largest one of its result, and is not finite where eager's is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import terrace
import torch
from terrace.errors import ModelImportError
from torch import nn
from torch.nn import functional as F

BOUND = {torch.complex64: 2e-6, torch.complex128: 2e-14}
REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}


class All(nn.Module):
    """The results of many functions of the same arguments."""

    def __init__(self, functions: list[Callable[..., Any]]) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, *args: Any) -> Any:
        return tuple(function(*args) for function in self.functions)


def random(*shape: int, dtype: torch.dtype = torch.complex64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def parts_of(value: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(value.resolve_conj()) if value.is_complex() else value


def assert_as_eager(functions: list[Callable[..., Any]], bound: float, *args: torch.Tensor) -> None:
    model = All(functions)
    expected = model(*args)
    for one, other in zip(expected, terrace.compile(model, args)(*args), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        want, found = parts_of(one), parts_of(other)
        if not want.is_floating_point():
            assert torch.equal(found, want)
            continue
        largest = float(want[want.isfinite()].abs().max()) if want.isfinite().any() else 1.0
        torch.testing.assert_close(found, want, rtol=0, atol=bound * largest, equal_nan=True)


ARITHMETIC = [
    *(lambda z, w, x: z + w, lambda z, w, x: z - w, lambda z, w, x: z * w, lambda z, w, x: z / w),
    *(lambda z, w, x: z + x, lambda z, w, x: x - z, lambda z, w, x: z * x, lambda z, w, x: z / x),
    *(lambda z, w, x: x / z, lambda z, w, x: 1 - z, lambda z, w, x: z * 2j, lambda z, w, x: 2j / z, lambda z, w, x: -z),
    *(lambda z, w, x: torch.add(z, w, alpha=2), lambda z, w, x: torch.sub(z, w, alpha=1j)),
    *(lambda z, w, x: torch.addcmul(z, w, w), lambda z, w, x: torch.lerp(z, w, 0.5)),
    *(lambda z, w, x: z == w, lambda z, w, x: z != w),
    *(lambda z, w, x: z**2, lambda z, w, x: z**-3, lambda z, w, x: z**0.5, lambda z, w, x: z**2.5),
    *(lambda z, w, x: z**w, lambda z, w, x: 2.0**z, lambda z, w, x: z**x),
    *(lambda z, w, x: z ** float("inf"), lambda z, w, x: z ** float("nan")),
]
UNARY = [
    *(torch.abs, torch.angle, torch.conj, torch.real, torch.imag, torch.exp, torch.log, torch.log2, torch.log10),
    *(torch.sqrt, torch.rsqrt, torch.square, torch.reciprocal, torch.sgn, torch.sigmoid, torch.neg, torch.positive),
    *(torch.sin, torch.cos, torch.tan, torch.sinh, torch.cosh, torch.tanh),
    *(torch.isnan, torch.isinf, torch.isfinite, torch.view_as_real, torch.conj_physical, torch.logical_not),
]
REDUCTIONS = [
    *(lambda z: z.sum(), lambda z: z.sum(0), lambda z: z.sum((0, -1), keepdim=True), lambda z: z.mean(1)),
    *(lambda z: z.prod(), lambda z: z.prod(0), lambda z: z.prod(1, keepdim=True), lambda z: z.cumsum(0)),
    *(lambda z: z.norm(), lambda z: torch.linalg.vector_norm(z, 3, dim=0), lambda z: z.std(0), lambda z: z.var()),
    *(lambda z: torch.ops.aten.norm(z, 3), lambda z: torch.ops.aten.norm(z, None, [0, 1], True)),
    *(lambda z: torch.ops.aten.linalg_norm(z, None, [0], True), torch.ops.aten.linalg_norm),
    *(lambda z: z.any(), lambda z: z.all(0), lambda z: torch.isclose(z, z + 1e-9)),
]
PRODUCTS = [
    *(lambda a, b: a @ b, torch.bmm, lambda a, b: torch.einsum("bij,bjk->bik", a, b), lambda a, b: a[0] @ b[0]),
    *(lambda a, b: torch.einsum("bij,bjk->k", a, b), lambda a, b: a[0] @ b[0, :, 0], lambda a, b: a.mH @ a),
    *(lambda a, b: F.linear(a, b[0].mT), lambda a, b: F.linear(a, b[0].mT, b[0, 0])),
    *(lambda a, b: torch.vdot(a[0, 0], b[0, :, 0]), lambda a, b: torch.outer(a[0, 0], b[0, 0])),
    *(lambda a, b: torch.addmm(a[0] @ b[0], a[0], b[0], alpha=2j), lambda a, b: torch.kron(a[0], b[0])),
    lambda a, b: F.conv1d(a, a[:, :, :2], a[0, :2, 0]),
]
LAYOUTS = [
    *(
        lambda z, x: torch.cat([z, x.int()]),
        lambda z, x: torch.stack([x > 0, z]),
        lambda z, x: z.clone().copy_((9 * x).int()),
    ),
    *(lambda z, x: torch.cat([z, x]), lambda z, x: torch.stack([z, z], 1), lambda z, x: torch.where(x > 0, z, x)),
    *(lambda z, x: z[1], lambda z, x: z[:, ::2], lambda z, x: z.T, lambda z, x: z.mH, lambda z, x: z.reshape(2, -1)),
    *(lambda z, x: z.expand(2, *z.shape), lambda z, x: z.flip(0), lambda z, x: z.roll(1, 1), lambda z, x: z.tril()),
    *(lambda z, x: z.diagonal(), lambda z, x: torch.trace(z), lambda z, x: F.pad(z, (1, 2))),
    *(lambda z, x: z[torch.tensor([2, 0])], lambda z, x: z[torch.tensor([2, 0]), torch.tensor([1, 1])]),
    *(lambda z, x: z.gather(0, torch.zeros(1, 4, dtype=torch.long)), lambda z, x: z.unfold(1, 2, 1)),
    *(lambda z, x: z.index_select(0, torch.tensor([2, 0, 1])), lambda z, x: z.masked_fill(x > 0, 1j)),
    *(lambda z, x: torch.complex(x, x + 1), lambda z, x: torch.polar(x.abs(), x), lambda z, x: x.to(z.dtype)),
    *(lambda z, x: torch.view_as_complex(torch.stack([x, x], -1)), lambda z, x: torch.full_like(z, 3j)),
    *(lambda z, x: z + torch.tensor([1j, 2, 3, 4]), lambda z, x: z * torch.arange(4) * 1j),
]


@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize("shape", [(), (7,), (2, 3, 5), (0, 3)])
def test_elementwise(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    z, w = random(*shape, dtype=dtype), random(*shape, dtype=dtype, seed=1) + 1
    assert_as_eager(ARITHMETIC, BOUND[dtype], z, w, random(*shape, dtype=REAL[dtype], seed=2).abs() + 0.1)
    assert_as_eager(UNARY, BOUND[dtype], z)


@pytest.mark.parametrize("dtype", BOUND)
def test_reductions_products_and_layouts(dtype: torch.dtype) -> None:
    z = random(3, 4, dtype=dtype)
    assert_as_eager(REDUCTIONS, BOUND[dtype], z)
    assert_as_eager(PRODUCTS, BOUND[dtype], random(2, 3, 4, dtype=dtype), random(2, 4, 5, dtype=dtype))
    assert_as_eager(LAYOUTS, BOUND[dtype], z, z.real.clone())


def transforms(length: int, norm: str) -> list[Callable[..., Any]]:
    """Of a complex and of a real tensor of shape [2, 3, length]."""
    fft = torch.fft
    return [
        *(lambda z, x: fft.fft(z, norm=norm), lambda z, x: fft.ifft(z, norm=norm), lambda z, x: fft.fft(x, norm=norm)),
        *(
            lambda z, x: fft.rfft(x, norm=norm),
            lambda z, x: fft.irfft(z, length, norm=norm),
            lambda z, x: fft.irfft(x, 4),
        ),
        *(lambda z, x: fft.hfft(z, length, norm=norm), lambda z, x: fft.ihfft(x, norm=norm)),
        *(lambda z, x: fft.fft2(z, norm=norm), lambda z, x: fft.ifft2(z, (3, 5), (0, 2), norm=norm)),
        *(lambda z, x: fft.rfft2(x, norm=norm), lambda z, x: fft.irfft2(z, (3, length), norm=norm)),
        *(lambda z, x: fft.fftn(z, norm=norm), lambda z, x: fft.ifftn(z, norm=norm), lambda z, x: fft.rfftn(x)),
        *(lambda z, x: fft.irfftn(z, (2, 3, length), norm=norm), lambda z, x: fft.hfftn(z, (3, length), norm=norm)),
        *(
            lambda z, x: fft.fft(z, length + 3),
            lambda z, x: fft.fft(z, max(length - 2, 1)),
            lambda z, x: fft.fft(z, dim=0),
        ),
        *(lambda z, x: fft.rfft(x, length + 1, dim=1), lambda z, x: fft.fftshift(z), lambda z, x: fft.ifftshift(x, 1)),
        *(lambda z, x: fft.fftfreq(length, 0.5) + x, lambda z, x: fft.rfftfreq(length) * 1j),
    ]


@pytest.mark.parametrize(
    ("length", "norm", "dtype"),
    [
        (1, "backward", torch.complex64),
        (2, "ortho", torch.complex64),
        (7, "forward", torch.complex64),
        (8, "ortho", torch.complex64),
        (7, "backward", torch.complex128),
    ],
)
def test_transforms(length: int, norm: str, dtype: torch.dtype) -> None:
    z = random(2, 3, length, dtype=dtype)
    assert_as_eager(transforms(length, norm), BOUND[dtype], z, random(2, 3, length, dtype=REAL[dtype]))


@pytest.mark.parametrize("dtype", BOUND)
def test_short_time_transforms(dtype: torch.dtype) -> None:
    window = torch.hann_window(16, dtype=REAL[dtype])

    def both(*, center: bool, normalized: bool, length: int | None) -> Callable[..., Any]:
        how = {"window": window, "center": center, "normalized": normalized}

        def run(x: torch.Tensor) -> torch.Tensor:
            return torch.istft(torch.stft(x, 16, 4, return_complex=True, **how), 16, 4, length=length, **how)

        return run

    x = random(2, 80, dtype=REAL[dtype])
    functions = [
        lambda x: torch.stft(x, 16, 4, window=window, return_complex=True),
        lambda x: torch.stft(x[0], 16, window=window[:10], win_length=10, return_complex=True, normalized=True),
        lambda x: torch.stft(x, 16, 4, window=window, center=False, onesided=False, return_complex=True),
        lambda x: torch.stft(x * 1j, 16, 4, window=window, return_complex=True, onesided=False),
        both(center=True, normalized=False, length=None),
        both(center=True, normalized=True, length=70),
    ]
    assert_as_eager(functions, BOUND[dtype], x)


def test_infinities() -> None:
    """As C99 has them, annex G, and PyTorch, too, if not always."""
    inf, nan = torch.inf, torch.nan
    z = torch.tensor(
        [complex(inf, 0), complex(0, inf), complex(-inf, inf), complex(1, inf), complex(-inf, 1), 89 + 1.57j]
    )
    assert_as_eager([torch.sqrt, torch.abs, torch.angle, torch.log, torch.tanh], 2e-6, z)
    found = terrace.compile(All([torch.exp, torch.reciprocal, lambda z: 0 * z]), (z,))(z)
    expected = torch.tensor([complex(inf, 0), complex(nan, nan), 0, complex(nan, nan), 0, 0])
    large = torch.exp(z[5].to(torch.complex128)).to(torch.complex64)
    torch.testing.assert_close(found[0], torch.cat([expected[:5], large[None]]), rtol=1e-5, atol=0, equal_nan=True)
    assert torch.equal(found[1][:5].abs(), torch.zeros(5))
    assert found[2][:5].isnan().all()
    huge = torch.tensor([3e38 + 3e38j, 1e-40 + 1e-40j])
    exact = torch.sqrt(huge.to(torch.complex128)).to(torch.complex64)
    torch.testing.assert_close(terrace.compile(All([torch.sqrt]), (huge,))(huge)[0], exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("function", [torch.asin, torch.log1p, lambda z: z.cumprod(0), torch.linalg.inv])
def test_refusals(function: Callable[..., Any]) -> None:
    with pytest.raises(ModelImportError, match=r"test_complex_ops\.py"):
        terrace.compile(All([function]), (random(3, 3),))
