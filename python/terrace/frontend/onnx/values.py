"""Values between nodes: tensors, and NumPy arrays that are known while the model is read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from terrace.errors import ModelImportError

Known = np.ndarray[Any, Any]

MOST_KNOWN = 64
"""Elements of what may be known while a model is read."""

UNSIGNED = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}
"""Types that PyTorch computes little in, and wider ones that hold their numbers (of uint64, all below 2**63)."""

TORCH_TYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.BOOL: torch.bool,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.UINT16: torch.uint16,
    TensorProto.UINT32: torch.uint32,
    TensorProto.UINT64: torch.uint64,
    TensorProto.FLOAT8E4M3FN: torch.float8_e4m3fn,
    TensorProto.FLOAT8E4M3FNUZ: torch.float8_e4m3fnuz,
    TensorProto.FLOAT8E5M2: torch.float8_e5m2,
    TensorProto.FLOAT8E5M2FNUZ: torch.float8_e5m2fnuz,
    TensorProto.COMPLEX64: torch.complex64,
    TensorProto.COMPLEX128: torch.complex128,
}
ELEMENT_TYPES = {torch_type: element for element, torch_type in TORCH_TYPES.items()}


def torch_type_of(element: int) -> torch.dtype:
    """PyTorch's type for a number of `TensorProto.DataType`. Raises ModelImportError for one that is not supported."""
    if element not in TORCH_TYPES:
        raise ModelImportError(f"ONNX's element type {TensorProto.DataType.Name(element)} is not supported")
    return TORCH_TYPES[element]


def array_of(tensor: TensorProto, folder: str = "") -> Known:
    """A tensor of the file as an array; external data are read from `folder`."""
    return numpy_helper.to_array(tensor, folder)


def tensor_of_proto(tensor: TensorProto, folder: str = "") -> torch.Tensor:
    """A tensor of the file."""
    wanted = torch_type_of(tensor.data_type)
    array = array_of(tensor, folder)
    if array.dtype.kind in "biufc" and array.dtype.name in dir(torch):
        return torch.from_numpy(np.array(array)).to(wanted)
    # Types of ml_dtypes go by their bits.
    bits = np.array(array).view(f"int{array.dtype.itemsize * 8}")
    return torch.from_numpy(bits).view(wanted)


def is_structural(tensor: TensorProto) -> bool:
    """Whether a constant may be sizes, axes and the like, which are known while the model is read: a few integers."""
    kinds = (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)
    return tensor.data_type in kinds and math.prod(tensor.dims) <= MOST_KNOWN


def is_known(value: Any) -> bool:
    """Whether a value is an array that is known while the model is read."""
    return isinstance(value, np.ndarray)


def as_tensor(value: Any) -> Any:
    """The tensor that a known array is; anything else is given back."""
    if not is_known(value):
        return value
    dtype = torch.int64 if value.dtype == object else torch_type_of(helper.np_dtype_to_tensor_dtype(value.dtype))
    if value.size > MOST_KNOWN or not value.size:
        return torch.tensor(value.tolist(), dtype=dtype).reshape(value.shape)
    # By ops: in the bodies of control flow PyTorch takes no constants.
    numbers = [torch.full((), number, dtype=dtype) for number in value.ravel().tolist()]
    return (torch.stack(numbers) if len(numbers) > 1 else numbers[0]).reshape(value.shape)


def numbers_of(value: Known) -> list[Any]:
    """The elements of a known array, as Python's numbers or `torch.SymInt`s."""
    return list(value.ravel().tolist())


def known(numbers: Any) -> Known:
    """An array of sizes: of int64 if all are plain, else of objects."""
    plain = all(isinstance(number, int) for number in np.ravel(np.array(numbers, dtype=object)).tolist())
    return np.array(numbers, dtype=np.int64 if plain else object)
