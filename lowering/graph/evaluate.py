"""Evaluates constant expressions (`graph.constant`) in numpy, when an artefact is written.

Numerics: floating point is computed in float64 and rounded once, to the declared type of the constant, so folding adds
no error of its own; a `graph.cast` to a narrower type is a rounding that the program asks for, and is kept. Integers
are exact and wrap in their type. Layout ops move elements without widening them, so that packing a weight costs one
copy of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from terrace.dialects.base import Attributes, attributes_of
from terrace.dialects.encodings import encoding_of
from terrace.element_types import ELEMENT_TYPES
from terrace.errors import CompileError
from terrace.mlir import ir
from terrace.passes import fail
from terrace.storage.parameter_archive import aligned_copy

Array = np.ndarray
Lookup = Callable[[str], Array]

NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(getattr(ml_dtypes, row.dtype, row.dtype)) for name, row in ELEMENT_TYPES.items()
}
"""The numpy type of each element type that a constant may have, by its MLIR name."""


class Constants:
    """The `graph.constant` and `graph.parameter` ops of a module, which it keeps alive."""

    def __init__(self, module: ir.Operation | ir.Module) -> None:
        operations = (op.operation for op in module.operation.regions[0].blocks[0].operations)
        named = (op for op in operations if op.name in ("graph.constant", "graph.parameter"))
        self._symbols = {op.attributes["sym_name"].value: op for op in named}
        self._module = module

    def evaluate(self, symbol: str, lookup: Lookup) -> Array:
        """The value of the op named `symbol`, in its declared type: memory of the caller's own, aligned for IREE.

        `lookup` gives the elements of a parameter by its key; it is called once per load, and no value is kept longer
        than its last use. Raises CompileError for a symbol or an op that is not known, and for parameters of a wrong
        shape.
        """
        with np.errstate(all="ignore"):
            value = _evaluate_symbol(self._symbols, symbol, lookup, ())
            declared = ir.ShapedType(self._symbols[symbol].attributes["type"].value)
            return aligned_copy(value, NUMPY_TYPES[str(declared.element_type)])


def has_known_type(value: ir.Value) -> bool:
    """Whether `value` is a tensor of static shape whose element type numpy can hold."""
    type_ = value.type
    return isinstance(type_, ir.RankedTensorType) and type_.has_static_shape and str(type_.element_type) in NUMPY_TYPES


def is_known_constant(operation: ir.Operation) -> bool:
    """Whether `operation` is an `arith.constant` tensor whose elements the bindings let us read.

    They cannot read resources, nor the elements of a non-splat bf16 or f8 constant.
    """
    if operation.name != "arith.constant" or not has_known_type(operation.results[0]):
        return False
    attribute = operation.attributes["value"]
    if not isinstance(attribute, ir.DenseElementsAttr):
        return False
    return attribute.is_splat or not str(attribute.type.element_type).startswith(("bf16", "f8"))


def dense_array(attribute: ir.Attribute) -> Array:
    """The elements of a dense attribute, as numpy holds its element type."""
    type_ = ir.ShapedType(attribute.type)
    dtype = NUMPY_TYPES[str(type_.element_type)]
    if attribute.is_splat:
        return np.full(tuple(type_.shape), attribute.get_splat_value().value, dtype)
    return np.array(attribute).astype(dtype, copy=False)


def _evaluate_symbol(symbols: dict[str, ir.Operation], symbol: str, lookup: Lookup, active: tuple[str, ...]) -> Array:
    """The value of `symbol`, not rounded yet, so that constants made of constants are rounded once, too."""
    if symbol not in symbols:
        raise CompileError(f"a constant expression loads @{symbol}, which the module does not declare")
    if symbol in active:
        raise CompileError(f"constant @{symbol} loads itself: {' -> '.join((*active, symbol))}")
    operation = symbols[symbol]
    if operation.name == "graph.parameter":
        value = lookup(symbol)
    else:
        inside = (*active, symbol)
        value = _evaluate_body(operation, lambda name: _evaluate_symbol(symbols, name, lookup, inside))
    shape = tuple(ir.ShapedType(operation.attributes["type"].value).shape)
    if value.shape != shape:
        raise CompileError(f"@{symbol} has shape {value.shape}, but its declaration says {shape}")
    return value


def _evaluate_body(constant: ir.Operation, load: Lookup) -> Array:
    """Run the ops in the body of `constant`, dropping each value after its last use; returns what it yields."""
    operations = [op.operation for op in constant.regions[0].blocks[0].operations]
    last_use = {value: op for op in operations for value in op.operands}
    values: dict[ir.Value, Array] = {}
    for op in operations:
        operands = [values[value] for value in op.operands]
        for value in set(op.operands):
            if last_use[value] == op:
                del values[value]
        if op.name == "graph.yield":
            return operands[0]
        if op.name == "graph.load":
            values[op.results[0]] = load(op.attributes["symbol"].value)
        elif op.name == "arith.constant":
            values[op.results[0]] = dense_array(op.attributes["value"])
        elif op.name in _RULES:
            values[op.results[0]] = _RULES[op.name](op, attributes_of(op), operands)
        elif op.name in _RULES_OF_SEVERAL:
            values.update(zip(op.results, _RULES_OF_SEVERAL[op.name](op, attributes_of(op), operands), strict=True))
        else:
            raise fail(op, "cannot be evaluated; keep it out of graph.constant")
    raise fail(constant, "must end in graph.yield")


# ---------------------------------------------------------------------------------------------------------------------
# Elementwise
# ---------------------------------------------------------------------------------------------------------------------


def _is_float(array: Array) -> bool:
    """Whether `array` holds floating point, numpy's own or that of ml_dtypes."""
    return array.dtype.kind not in "biu"


def _widen(array: Array) -> Array:
    return array.astype(np.float64, copy=False) if _is_float(array) else array


def _gelu(x: Array, attrs: Attributes) -> Array:
    if attrs.approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    # By erfc rather than 1 + erf, which cancels for negative x.
    return 0.5 * x * _erfc(-x / math.sqrt(2))


_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _divide(x: Array, y: Array) -> Array:
    """Numbers of integer types rounded towards zero, without a detour through floating point."""
    return np.divide(x, y) if _is_float(x) else (x - np.fmod(x, y)) // y


def _is_shift(x: Array, y: Array) -> Array:
    """Where `y` is less than the width of `x`, and not negative."""
    return np.asarray((y >= 0) & (y < 8 * x.itemsize))


_ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "cos": np.cos,
    "erf": _erf,
    "exp": np.exp,
    "expm1": np.expm1,
    "floor": np.floor,
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "log": np.log,
    "log1p": np.log1p,
    "neg": np.negative,
    "relu": lambda x: np.where(x < 0, x.dtype.type(0), x),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sin": np.sin,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "copysign": np.copysign,
    "div": _divide,
    "fmod": np.fmod,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "select": np.where,
    "shift_left": lambda x, y: np.where(_is_shift(x, y), x << (y * _is_shift(x, y)), x.dtype.type(0)),
    "shift_right": lambda x, y: np.where(_is_shift(x, y), x >> (y * _is_shift(x, y)), -(x < 0).astype(x.dtype)),
}

_COMPARISONS: dict[str, Callable[..., Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def _evaluate_elementwise(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    function = _ELEMENTWISE[op.name.removeprefix("graph.")]
    return np.asarray(function(*map(_widen, operands)))


def _evaluate_gelu(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return np.asarray(_gelu(_widen(operands[0]), attrs))


def unary(op: ir.Operation, value: Array) -> Array:
    """What an elementwise op of one operand makes of an array of float64."""
    with np.errstate(all="ignore"):
        return _RULES[op.name](op, attributes_of(op), [value])


def _evaluate_compare(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return np.asarray(_COMPARISONS[attrs.predicate](*map(_widen, operands)))


def _evaluate_cast(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    (value,) = operands
    source = np.dtype(NUMPY_TYPES[str(ir.ShapedType(op.operands[0].type).element_type)])
    target = np.dtype(NUMPY_TYPES[str(ir.ShapedType(op.results[0].type).element_type)])
    if target == np.bool_:
        return value != 0
    both_floats = _is_float(value) and target.kind not in "biu"
    if both_floats and (source == target or target.itemsize > source.itemsize):
        return value  # nothing to round: stay as precise as the value is
    return value.astype(target)


# ---------------------------------------------------------------------------------------------------------------------
# Quantised arithmetic
# ---------------------------------------------------------------------------------------------------------------------


def _saturate(op: ir.Operation, value: Array) -> Array:
    target = _result_dtype(op)
    limits = np.iinfo(target)
    return np.clip(value, limits.min, limits.max).astype(target)


def _evaluate_quantize(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value, scale = map(_widen, operands)
    return _saturate(op, np.nan_to_num(np.rint(value / scale), nan=0.0, posinf=math.inf, neginf=-math.inf))


def _evaluate_dequantize(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return np.asarray(operands[0].astype(np.float64) * _widen(operands[1]))


def _evaluate_requantize(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value, multiplier, shift = (operand.astype(np.int64) for operand in operands)
    return _saturate(op, _shift_right(value * multiplier, shift))


def _evaluate_scaled_add(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    left, right = (operand.astype(np.int64) for operand in operands)
    total = left * attrs.lhs_multiplier + right * attrs.rhs_multiplier
    return _saturate(op, _shift_right(total, np.asarray(attrs.shift, np.int64)))


def _evaluate_lookup(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return np.asarray(dense_array(attrs.table)[operands[0].astype(np.int64) + 128])


def _shift_right(value: Array, shift: Array) -> Array:
    """value / 2^shift, rounded to nearest, ties to even."""
    almost_half = (np.int64(1) << (shift - 1)) - 1
    return np.asarray((value + almost_half + ((value >> shift) & 1)) >> shift)


def _evaluate_encode(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> tuple[Array, ...]:
    """Of what the operand's type holds, as its numbers are cut into few: not of more digits."""
    declared = NUMPY_TYPES[str(ir.ShapedType(op.operands[0].type).element_type)]
    return encoding_of(attrs.encoding).encode(operands[0].astype(declared).astype(np.float32))


def _evaluate_decode(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    encoding, shape = encoding_of(attrs.encoding), _result_shape(op)
    value = encoding.decode(operands, 0 if encoding.open_axis is None else shape[encoding.open_axis])
    return value.astype(_result_dtype(op))


# ---------------------------------------------------------------------------------------------------------------------
# Contractions, reductions and layout
# ---------------------------------------------------------------------------------------------------------------------


def _evaluate_matmul(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    lhs, rhs = map(_widen, operands)
    if not _is_float(lhs):  # products of int8 may be summed in int32
        lhs, rhs = (operand.astype(_result_dtype(op)) for operand in (lhs, rhs))
    return np.matmul(lhs, np.swapaxes(rhs, -1, -2) if attrs.transpose_rhs else rhs)


def _evaluate_reduce(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value = _widen(operands[0])
    if not _is_float(value):
        value = value.astype(_result_dtype(op))  # a sum of int8 may be int32
    options: dict[str, Any] = {"axis": tuple(attrs.axes), "keepdims": attrs.keepdims}
    if attrs.kind in ("sum", "prod"):
        options["dtype"] = value.dtype  # numpy would widen small integers
    if attrs.kind in ("max", "min"):
        options["initial"] = _limits(value)[attrs.kind == "min"]  # What no elements have.
    functions: dict[str, Any] = {
        "sum": np.sum,
        "mean": np.mean,
        "max": np.max,
        "min": np.min,
        "prod": np.prod,
    }
    return np.asarray(functions[attrs.kind](value, **options))


def _limits(value: Array) -> tuple[Any, Any]:
    """The least and the greatest element of an array's type."""
    if _is_float(value):
        return -math.inf, math.inf
    return (False, True) if value.dtype == np.bool_ else (np.iinfo(value.dtype).min, np.iinfo(value.dtype).max)


def _evaluate_softmax(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value = _widen(operands[0])
    powers = np.exp(value - value.max(attrs.axis, keepdims=True, initial=-math.inf))
    return np.asarray(powers / powers.sum(attrs.axis, keepdims=True))


def _evaluate_norm(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    """Layer norm and RMS norm, which has no shift and no mean."""
    value, scale, *shift = map(_widen, operands)
    axes = tuple(range(value.ndim - scale.ndim, value.ndim))
    centred = value - value.mean(axes, keepdims=True) if shift else value
    normal = centred / np.sqrt(np.square(centred).mean(axes, keepdims=True) + attrs.epsilon)
    return np.asarray(normal * scale + (shift[0] if shift else 0))


def _evaluate_reshape(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return operands[0].reshape(_result_shape(op))


def _evaluate_permute(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return operands[0].transpose(attrs.permutation)


def _evaluate_broadcast(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return np.broadcast_to(operands[0], _result_shape(op))


def _evaluate_slice(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    bounds = zip(attrs.starts, attrs.stops, attrs.steps, strict=True)
    return operands[0][tuple(slice(start, None if stop == -1 else stop, step) for start, stop, step in bounds)]


def _evaluate_concat(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    same = len({operand.dtype for operand in operands}) == 1
    return np.concatenate(operands if same else [_widen(operand) for operand in operands], axis=attrs.axis)


def _evaluate_pad(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    return _pad(operands[0], attrs.low, attrs.high, attrs.value)


def _evaluate_pack(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    value = operands[0]
    tiles = dict(zip(attrs.inner_dims, attrs.inner_tiles, strict=True))
    missing = [-size % tiles.get(axis, 1) for axis, size in enumerate(value.shape)]
    value = _pad(value, [0] * value.ndim, missing, 0.0)
    split: list[int] = []
    outer, inner = [], {}
    for axis, size in enumerate(value.shape):
        outer.append(len(split))
        split.append(size // tiles.get(axis, 1))
        if axis in tiles:
            inner[axis] = len(split)
            split.append(tiles[axis])
    order = [outer[axis] for axis in attrs.outer_permutation] + [inner[axis] for axis in attrs.inner_dims]
    return value.reshape(split).transpose(order)


def _evaluate_embedding(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    table, indices = operands
    if table.ndim == 2:
        return np.take(table, indices, axis=0)
    block = table.shape[2]
    return np.asarray(table[indices // block, :, indices % block])


def _evaluate_roots_of_unity(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    rows, columns = (np.arange(size) for size in _result_shape(op))
    angles = np.outer(rows, columns) % attrs.length * (2 * math.pi / attrs.length)
    return np.sin(angles) if attrs.imaginary else np.cos(angles)


def _result_dtype(op: ir.Operation) -> Any:
    return NUMPY_TYPES[str(ir.ShapedType(op.results[0].type).element_type)]


def _result_shape(op: ir.Operation) -> tuple[int, ...]:
    return tuple(ir.ShapedType(op.results[0].type).shape)


def _pad(value: Array, low: list[int], high: list[int], fill: float) -> Array:
    """`value` in the middle of `fill`; by hand, as numpy.pad does not take the types of ml_dtypes."""
    if not any([*low, *high]):
        return value
    result = np.full(
        [before + size + after for before, size, after in zip(low, value.shape, high, strict=True)],
        fill,
        value.dtype,
    )
    middle = tuple(slice(before, before + size) for before, size in zip(low, value.shape, strict=True))
    result[middle] = value
    return result


_RULES: dict[str, Callable[[ir.Operation, Attributes, list[Array]], Array]] = {
    **{f"graph.{name}": _evaluate_elementwise for name in _ELEMENTWISE},
    "graph.batch_matmul": _evaluate_matmul,
    "graph.broadcast": _evaluate_broadcast,
    "graph.cast": _evaluate_cast,
    "graph.compare": _evaluate_compare,
    "graph.concat": _evaluate_concat,
    "graph.decode": _evaluate_decode,
    "graph.dequantize": _evaluate_dequantize,
    "graph.embedding": _evaluate_embedding,
    "graph.gelu": _evaluate_gelu,
    "graph.layer_norm": _evaluate_norm,
    "graph.lookup": _evaluate_lookup,
    "graph.matmul": _evaluate_matmul,
    "graph.pack": _evaluate_pack,
    "graph.pad": _evaluate_pad,
    "graph.permute": _evaluate_permute,
    "graph.quantize": _evaluate_quantize,
    "graph.reduce": _evaluate_reduce,
    "graph.requantize": _evaluate_requantize,
    "graph.reshape": _evaluate_reshape,
    "graph.rms_norm": _evaluate_norm,
    "graph.roots_of_unity": _evaluate_roots_of_unity,
    "graph.scaled_add": _evaluate_scaled_add,
    "graph.slice": _evaluate_slice,
    "graph.softmax": _evaluate_softmax,
}

_RULES_OF_SEVERAL: dict[str, Callable[[ir.Operation, Attributes, list[Array]], tuple[Array, ...]]] = {
    "graph.encode": _evaluate_encode,
}
"""The rules of ops with several results."""

KNOWN_OPS = frozenset(_RULES) | frozenset(_RULES_OF_SEVERAL)
"""The names of the ops that constant expressions may hold, besides `graph.load` and `arith.constant`."""
