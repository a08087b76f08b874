"""Values of a call: PyTorch's tensors and NumPy's arrays, each as the other, on the same memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from terrace.errors import InputError
from terrace.storage.parameter_archive import BITS, Array, numpy_dtype
from terrace.structure import dtype_name

if TYPE_CHECKING:
    import torch


def _torch_tensor_type() -> Any:
    """torch.Tensor if the process has imported torch; an empty tuple, which nothing is an instance of, if not."""
    return getattr(sys.modules.get("torch"), "Tensor", ())


def gives_torch(leaves: Sequence[Any]) -> bool:
    """Whether a call with these arguments gives torch tensors."""
    tensor_type = _torch_tensor_type()
    if any(isinstance(leaf, tensor_type) for leaf in leaves):
        return True
    return bool(tensor_type) and not any(isinstance(leaf, (np.ndarray, np.generic)) for leaf in leaves)


def to_numpy(value: Any, path: str) -> Array:
    """A tensor as an array on the same memory. Raises `InputError` for one that NumPy cannot see."""
    if not isinstance(value, _torch_tensor_type()):
        return np.asarray(value)
    if value.device.type == "meta":
        raise InputError(
            f"{path}: expected a tensor on the CPU, found one on meta, which has no values; pass its values"
        )
    if value.device.type != "cpu":
        raise InputError(f"{path}: expected a tensor on the CPU, found one on {value.device}; call .cpu() on it")
    torch = sys.modules["torch"]
    if value.layout != torch.strided:
        raise InputError(f"{path}: expected a dense tensor, found {value.layout}; call .to_dense() on it")
    if value.is_neg():
        raise InputError(
            f"{path}: expected a plain tensor, found a view with the negative bit; call .resolve_neg() on it"
        )
    value = value.detach().resolve_conj()
    name = dtype_name(value)
    if name in BITS:
        return _seen_by_numpy(value.view(getattr(torch, BITS[name])), path).view(numpy_dtype(name))
    return _seen_by_numpy(value, path)


def _seen_by_numpy(value: torch.Tensor, path: str) -> Array:
    try:
        array = np.asarray(value.numpy())
    except (RuntimeError, TypeError) as error:  # Of a fake, nested or quantised tensor, or another class of the user's.
        raise InputError(f"{path}: expected a plain tensor, found {type(value).__name__}: {error}") from error
    if array.size and not value.data_ptr():  # Within torch.func.functionalize NumPy gets memory that holds anything.
        raise InputError(f"{path}: expected a plain tensor, found one without memory; pass it outside of a transform")
    return array


def to_parts(value: Array) -> Array:
    """A complex array as a real one with a last axis of size 2, on the same memory if contiguous; a real one itself."""
    if value.dtype.kind != "c":
        return value
    whole = np.asarray(value, order="C")
    return whole.reshape(-1).view(whole.real.dtype).reshape(*whole.shape, 2)


def from_parts(value: Array, dtype: str) -> Array:
    """The inverse of `to_parts`."""
    return value.reshape(-1).view(numpy_dtype(dtype)).reshape(value.shape[:-1])


def to_torch(value: Array) -> Any:
    """An array as a tensor on the same memory."""
    torch = sys.modules["torch"]
    name = value.dtype.name
    if name in BITS:
        return torch.from_numpy(value.view(BITS[name])).view(getattr(torch, name))
    return torch.from_numpy(value)
