"""Arguments that a model writes to: checked before a call, and given their new values after it, where they lie."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from terrace.errors import InputError
from terrace.storage.parameter_archive import Array

if TYPE_CHECKING:
    import torch


def check_writable(
    written: Sequence[int], leaves: Sequence[Any], arrays: Mapping[int, Array], paths: Sequence[str]
) -> None:
    """Raise `InputError` for an argument that cannot be written to, or shares memory with another one.

    `arrays` has one on the memory of each of `leaves`, by its number, but for constants.
    """
    for index in written:
        array, path = arrays[index], paths[index]
        if not isinstance(leaves[index], np.ndarray) and not hasattr(leaves[index], "copy_"):
            raise InputError(f"{path}: the model writes to it; pass a torch tensor or a NumPy array")
        if not array.flags.writeable:
            raise InputError(f"{path}: the model writes to it, and it is read-only; pass a copy")
        if any(size > 1 and stride == 0 for size, stride in zip(array.shape, array.strides, strict=True)):
            raise InputError(f"{path}: the model writes to it, and its elements share memory; pass a copy")
        for other, value in arrays.items():
            if other != index and share_memory(array, value):
                at = paths[other]
                raise InputError(f"{path}: the model writes to it, and {at} shares memory with it; pass a copy of one")


def share_memory(left: Array, right: Array) -> bool:
    """Whether two arrays share an element; what takes long to find out is taken for granted."""
    try:
        return np.shares_memory(left, right, max_work=1000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def write_back(leaf: Array | torch.Tensor, value: Any, path: str) -> None:
    """Give an argument its new value, an array or a torch tensor, in place."""
    if tuple(leaf.shape) != tuple(value.shape):
        # Whether eager resizes it depends on the op; export always does.
        raise InputError(
            f"{path}: the model writes to it what has shape {tuple(value.shape)}, which it has not; pass one of that"
            " shape"
        )
    if isinstance(leaf, np.ndarray):
        np.copyto(leaf, np.asarray(value))
        return
    with sys.modules["torch"].no_grad():
        leaf.copy_(value)
