"""Decompositions of ops on spectra that PyTorch has in C++ only, or that look at values there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from terrace.errors import ModelImportError

aten = torch.ops.aten


def fftfreq(n: int, d: float = 1.0, **kwargs: Any) -> torch.Tensor:
    places = torch.arange(n, dtype=kwargs.get("dtype") or torch.get_default_dtype())
    return torch.where(places < (n + 1) // 2, places, places - n) * (1 / (n * d))


def rfftfreq(n: int, d: float = 1.0, **kwargs: Any) -> torch.Tensor:
    return torch.arange(n // 2 + 1, dtype=kwargs.get("dtype") or torch.get_default_dtype()) * (1 / (n * d))


def stft(
    value: torch.Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: torch.Tensor | None = None,
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> torch.Tensor:
    """Transforms of frames under a window. PyTorch's own form of it makes the sizes constants."""
    if align_to_window:
        raise ModelImportError("stft: align_to_window is not supported: pad the signal, and leave it out")
    hop = n_fft // 4 if hop_length is None else hop_length
    frames = (value.unsqueeze(0) if value.ndim == 1 else value).unfold(-1, n_fft, hop)
    if window is not None or win_length is not None:
        frames = frames * padded_window(window, win_length, n_fft, frames.real.dtype)
    norm = "ortho" if normalized else "backward"
    is_half = not frames.is_complex() if onesided is None else onesided
    spectra = (torch.fft.rfft if is_half else torch.fft.fft)(frames, norm=norm).transpose(1, 2)
    spectra = spectra.squeeze(0) if value.ndim == 1 else spectra
    return spectra if return_complex else torch.view_as_real(spectra)


def padded_window(window: torch.Tensor | None, win_length: int | None, n_fft: int, dtype: torch.dtype) -> torch.Tensor:
    """A window, or one of ones, in the middle of a frame."""
    width = n_fft if win_length is None else win_length
    shape = torch.ones(width, dtype=dtype) if window is None else window
    before = (n_fft - width) // 2
    return torch.constant_pad_nd(shape, [before, n_fft - width - before])


def istft(
    value: torch.Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: torch.Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> torch.Tensor:
    """The transforms back, each under its window, added up, over the sum of the windows' squares.

    PyTorch raises an error where that sum is zero; here the result is not finite there.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    spectra = value.unsqueeze(0) if value.ndim == 2 else value
    real = torch.empty((), dtype=value.dtype).real.dtype
    shape = padded_window(window, win_length, n_fft, real)
    norm = "ortho" if normalized else "backward"
    rows = spectra.transpose(1, 2)
    is_half = not return_complex if onesided is None else onesided
    if return_complex:
        if is_half:
            raise ModelImportError("istft: onesided and return_complex exclude each other")
        frames = torch.fft.ifft(rows, n_fft, norm=norm)
    elif is_half:
        frames = torch.fft.irfft(rows, n_fft, norm=norm)
    else:
        frames = torch.fft.irfft(rows[..., : n_fft // 2 + 1], n_fft, norm=norm)
    squares = (shape * shape).expand(1, frames.shape[1], n_fft)
    whole = overlapped(frames * shape, hop), overlapped(squares, hop)
    end = n_fft + hop * (frames.shape[1] - 1)
    start = n_fft // 2 if center else 0
    stop = start + length if length is not None else end - n_fft // 2 if center else end
    signal, weight = (part[:, start:stop] for part in whole)
    result = signal / weight
    if length is not None and isinstance(end, int) and start + length > end:
        result = torch.constant_pad_nd(result, [0, start + length - end])
    return result.squeeze(0) if value.ndim == 2 else result


def overlapped(frames: torch.Tensor, hop: int) -> torch.Tensor:
    """Frames laid `hop` apart and added up: pieces of `hop` of each frame, shifted by as many frames."""
    batch, count, width = frames.shape
    pieces = -(-width // hop)
    cut = torch.constant_pad_nd(frames, [0, pieces * hop - width]).reshape(batch, count, pieces, hop)
    shifted = [torch.constant_pad_nd(cut[:, :, i], [0, 0, i, pieces - 1 - i]) for i in range(pieces)]
    return torch.stack(shifted).sum(0).reshape(batch, -1)[:, : width + hop * (count - 1)]


SPECTRA: dict[Any, Callable[..., Any]] = {
    aten._neg_view.default: torch.neg,
    aten.fft_fftfreq.default: fftfreq,
    aten.fft_rfftfreq.default: rfftfreq,
    aten.istft.default: istft,
    aten.stft.default: stft,
}
"""The decomposition of each op."""
