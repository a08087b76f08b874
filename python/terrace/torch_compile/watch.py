"""Notices that tensors have changed: cheaply, since it is asked at each call.

Every write that PyTorch knows of raises a tensor's version: optimizer steps, `load_state_dict`, `copy_` and all other
ops. Writes through `.data`, NumPy or another process do not; so a few elements of each tensor are compared as well,
which an update of a whole tensor changes. A write behind PyTorch's back to few elements goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch._prims_common import is_non_overlapping_and_dense_or_false

SAMPLES = 16
"""How many elements of each tensor are compared."""

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""A type of each size to compare elements in: bits, since NaN is unlike itself."""


def is_watchable(tensor: torch.Tensor) -> bool:
    """Whether PyTorch counts versions of `tensor`, and its elements fill its memory."""
    return not tensor.is_inference() and is_non_overlapping_and_dense_or_false(tensor)


class Watch:
    """What `tensors`, all watchable, hold at the moment. Keeps their memory alive, but not them."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._samples = [sample(tensor) for tensor in tensors if tensor.numel()]
        self._versions = versions(tensors)
        self._contents = self._read()

    def has_changed(self, tensors: Sequence[torch.Tensor]) -> bool:
        """Whether these, which are the same tensors, have other memory or contents than at first."""
        return versions(tensors) != self._versions or self._read() != self._contents

    def _read(self) -> bytes:
        return np.concatenate(self._samples, dtype=np.int64, casting="unsafe").tobytes() if self._samples else b""


def versions(tensors: Sequence[torch.Tensor]) -> list[int]:
    """Where each tensor's elements are, and how often they were written."""
    return [number for tensor in tensors for number in (tensor.data_ptr(), tensor._version)]


def sample(tensor: torch.Tensor) -> np.ndarray:
    """`SAMPLES` elements or all, spread over the memory of `tensor`, as integers; a view."""
    flat = tensor.detach().as_strided((tensor.numel(),), (1,)).view(_WORDS[tensor.element_size()])
    array: np.ndarray = flat.numpy()[:: -(-len(flat) // SAMPLES)]
    return array
