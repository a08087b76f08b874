"""Tensors as numpy arrays: element types, attributes, and roundings."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from terrace.element_types import ELEMENT_TYPES
from terrace.mlir import ir

Array = np.ndarray

NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(getattr(ml_dtypes, row.dtype, row.dtype)) for name, row in ELEMENT_TYPES.items()
}
"""The numpy type of each element type that a constant may have, by its MLIR name."""


def numpy_type(value_or_type: ir.Value | ir.Type) -> np.dtype[Any]:
    """The numpy type of the elements of a tensor, or of a value of such a type."""
    type_ = value_or_type.type if isinstance(value_or_type, ir.Value) else value_or_type
    return NUMPY_TYPES[str(ir.ShapedType(type_).element_type)]


def has_known_type(value: ir.Value) -> bool:
    """Whether `value` is a tensor of static shape whose element type numpy can hold."""
    type_ = value.type
    return isinstance(type_, ir.RankedTensorType) and type_.has_static_shape and str(type_.element_type) in NUMPY_TYPES


def is_known_constant(operation: ir.Operation) -> bool:
    """Whether `operation` is an `arith.constant` tensor whose elements the bindings let us read.

    They cannot read resources, nor the elements of a non-splat bf16 or f8 constant.
    """
    if operation.name != "arith.constant" or not has_known_type(operation.result):
        return False
    attribute = operation.attributes["value"]
    if not isinstance(attribute, ir.DenseElementsAttr):
        return False
    return attribute.is_splat or not str(attribute.type.element_type).startswith(("bf16", "f8"))


def dense_array(attribute: ir.Attribute) -> Array:
    """The elements of a dense attribute, as numpy holds its element type."""
    dtype = numpy_type(attribute.type)
    if attribute.is_splat:
        return np.full(tuple(ir.ShapedType(attribute.type).shape), attribute.get_splat_value().value, dtype)
    return np.array(attribute).astype(dtype, copy=False)


def is_float(array_or_type: Array | np.dtype[Any]) -> bool:
    """Whether an array holds floating point, numpy's own or that of ml_dtypes."""
    dtype = array_or_type.dtype if isinstance(array_or_type, np.ndarray) else array_or_type
    return dtype.kind not in "biu"


def widen(array: Array) -> Array:
    """Floating point as float64; integers as they are."""
    return array.astype(np.float64, copy=False) if is_float(array) else array


def to_round(array: Array, dtype: np.dtype[Any]) -> Array:
    """What `array` is in another type once numpy converts this: to the nearest number, ties to even, of its floats."""
    if array.dtype != np.float64 or not is_float(dtype) or np.issubdtype(dtype, np.floating):
        return array
    # ml_dtypes goes by float32 or float16, and would round twice. What is rounded here it takes as it is.
    info = ml_dtypes.finfo(dtype)
    _, exponent = np.frexp(array)
    unit = np.maximum(exponent - 1, info.minexp) - info.nmant
    return np.ldexp(np.rint(np.ldexp(array, -unit)), unit)
