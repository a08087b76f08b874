"""Complex tensors, in and out and inside, and Fourier transforms: as eager, to the last digits of their type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import terrace
import torch
from terrace.errors import ModelImportError
from torch import nn


class Model(nn.Module):
    """`function` as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def random(*shape: int, dtype: torch.dtype = torch.complex64) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def assert_as_eager(model: Any, *args: torch.Tensor) -> None:
    """Within 1e-5 of the greatest element, of 1e-13 in double precision."""
    model = model if isinstance(model, nn.Module) else Model(model)
    with torch.no_grad():
        expected = model(*args)
    found = terrace.compile(model, args)(*args)
    many = expected if isinstance(expected, tuple) else (expected,)
    for one, other in zip(many, found if isinstance(expected, tuple) else (found,), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        bound = 1e-13 if one.dtype in (torch.complex128, torch.float64) else 1e-5
        torch.testing.assert_close(other, one, rtol=0, atol=bound * (float(one.abs().max()) + 1e-3))


def test_arithmetic() -> None:
    z, w, x = random(3, 4), random(3, 4) + 1, random(3, 4, dtype=torch.float32)
    assert_as_eager(
        lambda z, w, x: (z + w, z - x, x - z, z * w, z * x, z / w, x / z, 2j * x, z + 2j, (2 + 1j) / z), z, w, x
    )


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_products(dtype: torch.dtype) -> None:
    assert_as_eager(
        lambda a, b: (a @ b, torch.einsum("ij,ij->i", a, a.conj())),
        random(3, 4, dtype=dtype),
        random(4, 5, dtype=dtype),
    )


def test_reductions() -> None:
    assert_as_eager(lambda a: (a.sum(0), a.mean(), a.norm(), a.std(0), a.abs(), a.cumsum(0)), random(3, 4))


@pytest.mark.parametrize("length", [1, 2, 7, 180, 400, 1021, 1024])
def test_transforms(length: int) -> None:
    def run(z: torch.Tensor) -> Any:
        half = torch.fft.rfft(z.real)
        return torch.fft.fft(z), torch.fft.ifft(z, norm="ortho"), half, torch.fft.irfft(half, n=length)

    assert_as_eager(run, random(2, length))
    assert_as_eager(torch.fft.irfft, random(6, length // 2 + 2))


def test_short_time_transforms() -> None:
    window = torch.hann_window(64)

    def run(x: torch.Tensor) -> Any:
        spectrum = torch.stft(x, 64, 16, window=window, return_complex=True)
        return spectrum, torch.istft(spectrum, 64, 16, window=window, length=x.shape[-1])

    assert_as_eager(run, random(2, 800, dtype=torch.float32))


class GlobalFilter(nn.Module):
    """As in GFNet: a filter of the spectrum."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(random(7, 4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft2(x, dim=(1, 2), norm="ortho") * self.weight
        return torch.fft.irfft2(spectrum, s=(7, 6), dim=(1, 2), norm="ortho")


def test_a_complex_parameter() -> None:
    assert_as_eager(GlobalFilter(), random(2, 7, 6, 3, dtype=torch.float32))


def test_rotary_embedding() -> None:
    def rotary(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * turns.view(1, x.shape[1], 1, -1)).flatten(3)

    turns = torch.polar(torch.ones(5, 4), random(5, 4, dtype=torch.float32))
    assert_as_eager(rotary, random(2, 5, 3, 8, dtype=torch.float32), turns)


def test_kinds_of_arguments() -> None:
    compiled = terrace.compile(Model(lambda z: z * 2), (random(3, 4),))
    z = random(4, 3)
    torch.testing.assert_close(compiled(z.T), z.T * 2)
    torch.testing.assert_close(compiled(z.mH), z.mH * 2)
    np.testing.assert_allclose(compiled(z.T.numpy()), z.T.numpy() * 2)
    assert terrace.compile(Model(lambda z: z + 1), (torch.tensor(1j),))(2j) == 1 + 2j


def test_refusals_name_the_op_and_line() -> None:
    for function, word in ((lambda z: z.prod(), "aten.prod"), (torch.fft.fft, "2053")):
        with pytest.raises(ModelImportError, match=rf"{word}") as caught:
            terrace.compile(Model(function), (random(2, 2053),))
        assert "test_complex.py" in str(caught.value)
