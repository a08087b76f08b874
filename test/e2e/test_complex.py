"""Complex tensors, in and out and inside, and Fourier transforms: as eager, to the last digits of their type."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import terrace
import torch
from terrace.errors import InputError, ModelImportError
from terrace.tools.run import main as run_tool
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


class Rotary(nn.Module):
    """As in Llama's reference code; a buffer and a parameter are complex."""

    def __init__(self) -> None:
        super().__init__()
        turns = torch.outer(torch.arange(16.0), 10000.0 ** -(torch.arange(4) / 4))
        self.register_buffer("freqs_cis", torch.polar(torch.ones_like(turns), turns), persistent=False)
        self.scale = nn.Parameter(random(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        turns = self.freqs_cis[: x.shape[1]].view(1, x.shape[1], 1, -1)
        return torch.view_as_real(pairs * turns * self.scale).flatten(3).type_as(x)


def test_rotary_embedding() -> None:
    x = random(2, 5, 3, 8, dtype=torch.float32)
    assert_as_eager(Rotary(), x)
    shapes = {"x": {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=16)}}
    compiled, model = terrace.compile(Rotary(), (x,), dynamic_shapes=shapes), Rotary()
    for batch, length in ((1, 1), (3, 16)):
        given = random(batch, length, 3, 8, dtype=torch.float32)
        torch.testing.assert_close(compiled(given), model(given))
    by_torch = torch.compile(model, backend="terrace")
    torch.testing.assert_close(by_torch(x), model(x))
    by_torch(x).sum().backward()
    found, model.scale.grad = model.scale.grad, None
    model(x).sum().backward()
    torch.testing.assert_close(found, model.scale.grad)


def test_dynamic_sizes() -> None:
    window = torch.hann_window(16)

    def run(z: torch.Tensor, x: torch.Tensor) -> Any:
        spectrum = torch.stft(x, 16, 4, window=window, return_complex=True)
        signal = torch.istft(spectrum, 16, 4, window=window)
        return torch.tanh(z) * z.conj(), torch.fft.fft(z), torch.fft.irfft(z), z.sum(0), spectrum, signal

    class Sizes(nn.Module):
        def forward(self, z: torch.Tensor, x: torch.Tensor) -> Any:
            return run(z, x)

    n, t = torch.export.Dim("n", min=0), torch.export.Dim("t", min=20, max=4000)
    example = random(5, 4), random(2, 80, dtype=torch.float32)
    compiled = terrace.compile(Sizes(), example, dynamic_shapes=({0: n}, {0: torch.export.Dim("b"), 1: t}))
    for rows, length in ((1, 33), (17, 800)):
        args = random(rows, 4), random(rows, length, dtype=torch.float32)
        torch.testing.assert_close(compiled(*args), run(*args), rtol=1e-5, atol=1e-5)
    assert [one.shape[0] for one in compiled(random(0, 4), example[1])[:4]] == [0, 0, 0, 4]
    with pytest.raises(ModelImportError, match=r"_fft_c2c.*test_complex.py.*its length is dynamic"):
        terrace.compile(OfSpectrum(), (random(3, 4),), dynamic_shapes=({1: torch.export.Dim.AUTO},))


class OfSpectrum(nn.Module):
    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.fft.fft(z), z.abs()


def test_files_and_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second compile, a saved model, and terrace-run give what the first does."""
    monkeypatch.setenv("TERRACE_CACHE_DIR", str(tmp_path / "cache"))
    z, model = random(3, 4), OfSpectrum()
    compiled = terrace.compile(model, (z,))
    compiled.save(tmp_path / "model.terrace")
    for other in (terrace.compile(model, (z,)), terrace.load(tmp_path / "model.terrace"), copy.deepcopy(compiled)):
        for found, expected in zip(other(z), model(z), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    np.save(tmp_path / "z.npy", z.numpy())
    files = ["--input", str(tmp_path / "z.npy"), "--output", str(tmp_path / "out.npz")]
    assert run_tool([str(tmp_path / "model.terrace"), *files]) == 0
    written = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(written["result[0]"], model(z)[0].numpy(), rtol=1e-5, atol=1e-5)
    assert written["result[0]"].dtype == np.complex64


class Writes(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        torch.view_as_real(z)[..., 0].mul_(3)
        z[0] = z[1] * 2j
        return z + 1


@pytest.mark.parametrize("is_transposed", [False, True])
def test_written_arguments(is_transposed: bool) -> None:
    def given() -> torch.Tensor:
        return random(4, 3).T if is_transposed else random(3, 4)

    compiled, found, expected = terrace.compile(Writes(), (given(),)), given(), given()
    torch.testing.assert_close(compiled(found), Writes()(expected))
    torch.testing.assert_close(found, expected)


def test_kinds_of_arguments() -> None:
    compiled = terrace.compile(Model(lambda z: z * 2), (random(3, 4),))
    z = random(4, 3)
    torch.testing.assert_close(compiled(z.T), z.T * 2)
    torch.testing.assert_close(compiled(z.mH), z.mH * 2)
    torch.testing.assert_close(terrace.compile(Model(lambda z: z * 2), (z.mH,))(z.mH), z.mH * 2)
    torch.testing.assert_close(compiled(random(6, 8)[::2, 1::2]), random(6, 8)[::2, 1::2] * 2)
    np.testing.assert_allclose(compiled(z.T.numpy()), z.T.numpy() * 2)
    assert terrace.compile(Model(lambda z: z + 1), (torch.tensor(1j),))(2j) == 1 + 2j


def test_other_arguments_are_refused() -> None:
    compiled = terrace.compile(Model(lambda z: z * 2), (random(3, 4),))
    for given, words in (
        (random(3, 4).real, "found float32"),
        (random(3, 4).to(torch.complex128), "found complex128"),
        (random(3, 5), "size 1 must be 4"),
    ):
        with pytest.raises(InputError, match=rf"args\[0\].*{words}"):
            compiled(given)
    negative = random(3, 4).conj().imag
    with pytest.raises(InputError, match=r"args\[0\].*negative bit; call .resolve_neg"):
        terrace.compile(Model(torch.neg), (negative.resolve_neg(),))(negative)


def test_a_written_buffer_is_refused() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("turn", torch.tensor(1j))

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return z * self.turn.mul_(1j)

    with pytest.raises(ModelImportError, match=r"'turn' at .*test_complex.py.*view_as_real"):
        terrace.compile(Counts(), (random(2),))


def test_refusals_name_the_op_and_line() -> None:
    for function, word in ((lambda z: z.cumprod(0), "aten.cumprod"), (torch.fft.fft, "2053")):
        with pytest.raises(ModelImportError, match=rf"{word}") as caught:
            terrace.compile(Model(function), (random(2, 2053),))
        assert "test_complex.py" in str(caught.value)
