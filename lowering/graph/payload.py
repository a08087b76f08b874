"""The scalar payload of every elementwise graph op, as arith and math ops at the insertion point.

The same function serves scalars (in the region of a linalg op) and vectors of any rank (tiles of the loop level):
constants become splats of the operands' shape. Half precision (f16, bf16) is computed in f32 and rounded once, as
PyTorch does. Integers are signless and read as signed, i1 as a boolean; a `uint8` tensor arrives as i8 and must be
widened by the frontend before it means anything above 127.
"""

from __future__ import annotations

import math as pymath
from collections.abc import Callable

from terrace.dialects.base import Attributes
from terrace.errors import CompileError
from terrace.lowering.graph import payload_f64
from terrace.lowering.graph.builders import splat_value
from terrace.lowering.graph.payload_quantized import QUANTIZED
from terrace.lowering.graph.payload_types import (
    cast,
    compare,
    compute_type,
    constant,
    is_bool,
    is_float,
    scalar_type,
    with_element,
)
from terrace.mlir import arith, ir, math

Values = list[ir.Value]
Emitter = Callable[[Attributes, Values], ir.Value]


class PayloadError(CompileError):
    """An elementwise op has no meaning for an element type. The text completes "'graph.x' op ..."."""


def emit(op_name: str, attrs: Attributes, operands: Values, result_element_type: ir.Type) -> ir.Value:
    """The result of elementwise op `op_name` ("graph.add") on `operands`, which all have one shape or are scalars.

    `result_element_type` matters to `graph.cast` and the ops that round to integers; all others have the type that the
    dialect infers. Raises PayloadError when the op is not defined on the operands' element type.
    """
    name = op_name.removeprefix("graph.")
    if name == "cast":
        return cast(operands[0], result_element_type)
    if name == "bitcast":
        return arith.bitcast(with_element(operands[0].type, result_element_type), operands[0])
    if name == "compare":
        return compare(attrs.predicate, *operands)
    if name == "select":
        return arith.select(*operands)
    if name in QUANTIZED:
        return QUANTIZED[name](attrs, operands, result_element_type)
    element = scalar_type(operands[0].type)
    if not is_float(element):
        if name not in INTEGER:
            raise PayloadError(f"is not defined on element type {element}; cast its operands first")
        return INTEGER[name](attrs, operands)
    if name not in FLOAT:
        raise PayloadError(f"is not defined on element type {element}; cast its operands first")
    emitter = FLOAT[name]
    if name in EXACT:
        return emitter(attrs, operands)
    wide = compute_type(element)
    return cast(emitter(attrs, [cast(value, wide) for value in operands]), element)


_UPDATES = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


def updated(kind: str, old: ir.Value, new: ir.Value) -> ir.Value:
    """What an update of this `kind` of `graph.scatter` makes of old elements and new ones, a scalar or tiles each."""
    return new if kind == "replace" else emit(_UPDATES[kind], Attributes({}), [old, new], scalar_type(old.type))


# ---------------------------------------------------------------------------------------------------------------------
# Floating point
# ---------------------------------------------------------------------------------------------------------------------


def _relu(attrs: Attributes, values: Values) -> ir.Value:
    return _bounded(values[0], "lt", constant(values[0].type, 0.0))


def _bounded(x: ir.Value, beyond: str, bound: ir.Value) -> ir.Value:
    """`x`, or the bound, a constant, where x is beyond it.

    `x < 0 ? 0 : x` becomes one maxps with NaN kept; maximumf would cost a second compare.
    """
    return arith.select(compare(beyond, x, bound), bound, x)


def _maximum(attrs: Attributes, values: Values) -> ir.Value:
    return _of_two(values, "lt", arith.maximumf)


def _minimum(attrs: Attributes, values: Values) -> ir.Value:
    return _of_two(values, "gt", arith.minimumf)


def _of_two(values: Values, beyond: str, upstream: Callable[..., ir.Value]) -> ir.Value:
    """The larger or smaller of two; NaN if one is."""
    for x, bound in (values, values[::-1]):
        number = splat_value(bound) if isinstance(bound.type, ir.VectorType) else None
        if number is not None and not pymath.isnan(number):
            return _bounded(x, beyond, bound)
    return upstream(*values)


def _sigmoid(attrs: Attributes, values: Values) -> ir.Value:
    (x,) = values
    one = constant(x.type, 1.0)
    return arith.divf(one, arith.addf(one, math.exp(arith.negf(x))))


def _silu(attrs: Attributes, values: Values) -> ir.Value:
    (x,) = values
    return arith.divf(x, arith.addf(constant(x.type, 1.0), math.exp(arith.negf(x))))


def _hardsigmoid(attrs: Attributes, values: Values) -> ir.Value:
    (x,) = values
    shifted = arith.addf(x, constant(x.type, 3.0))
    clamped = _bounded(_bounded(shifted, "lt", constant(x.type, 0.0)), "gt", constant(x.type, 6.0))
    return arith.mulf(clamped, constant(x.type, 1.0 / 6.0))


def _hardswish(attrs: Attributes, values: Values) -> ir.Value:
    return arith.mulf(values[0], _hardsigmoid(attrs, values))


def _gelu(attrs: Attributes, values: Values) -> ir.Value:
    (x,) = values
    if attrs.approximate == "none":
        inner = erf(arith.mulf(x, constant(x.type, pymath.sqrt(0.5))))
    elif attrs.approximate == "tanh":
        cubic = arith.mulf(arith.mulf(arith.mulf(x, x), x), constant(x.type, 0.044715))
        inner = tanh(arith.mulf(arith.addf(x, cubic), constant(x.type, pymath.sqrt(2.0 / pymath.pi))))
    else:
        raise PayloadError(f"attribute 'approximate' must be none or tanh, got {attrs.approximate}")
    half = arith.mulf(x, constant(x.type, 0.5))
    return arith.mulf(half, arith.addf(inner, constant(x.type, 1.0)))


def _erf(attrs: Attributes, values: Values) -> ir.Value:
    # IREE's polynomial loses the sign of 0.
    (x,) = values
    return math.copysign(erf(x), x)


def _pow(attrs: Attributes, values: Values) -> ir.Value:
    """C's pow. IREE expands powf as exp(y * log(x)), which is NaN for x < 0, 0^0 and 1^inf: those are mended here."""
    x, y = values
    zero, one, infinity = (constant(x.type, value) for value in (0.0, 1.0, pymath.inf))
    size = math.absf(x)
    is_one = arith.ori(compare("eq", y, zero), compare("eq", size, one))
    magnitude = arith.select(is_one, one, math.powf(size, y))
    is_integer = compare("eq", math.floor(y), y)
    half = arith.mulf(y, constant(x.type, 0.5))
    is_odd = arith.andi(is_integer, compare("ne", math.floor(half), half))
    result = arith.select(is_odd, math.copysign(magnitude, x), magnitude)
    is_finite_negative = arith.andi(compare("lt", x, zero), compare("lt", size, infinity))
    is_fraction = compare("ne", math.floor(y), y)
    return arith.select(arith.andi(is_finite_negative, is_fraction), constant(x.type, pymath.nan), result)


def _fmod(attrs: Attributes, values: Values) -> ir.Value:
    """Exact as one upstream op; IREE has none for f64."""
    lhs, rhs = values
    return payload_f64.fmod(lhs, rhs, constant) if _is_f64(values[0]) else arith.remf(lhs, rhs)


def _direct(builder: Callable[..., ir.Value]) -> Emitter:
    """The emitter of an op that is one upstream op on the same operands."""
    return lambda attrs, values: builder(*values)


def _is_f64(value: ir.Value) -> bool:
    return isinstance(scalar_type(value.type), ir.F64Type)


def erf(x: ir.Value) -> ir.Value:
    """erf as one upstream op; IREE has none for f64."""
    return payload_f64.erf(x, constant) if _is_f64(x) else math.erf(x)


def tanh(x: ir.Value) -> ir.Value:
    """tanh as one upstream op; IREE has none for f64."""
    return payload_f64.tanh(x, constant) if _is_f64(x) else math.tanh(x)


FLOAT: dict[str, Emitter] = {
    "abs": _direct(math.absf),
    "add": _direct(arith.addf),
    "ceil": _direct(math.ceil),
    "copysign": _direct(math.copysign),
    "cos": _direct(math.cos),
    "div": _direct(arith.divf),
    "erf": _erf,
    "exp": _direct(math.exp),
    "expm1": _direct(math.expm1),
    "floor": _direct(math.floor),
    "fmod": _fmod,
    "gelu": _gelu,
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "log": _direct(math.log),
    "log1p": _direct(math.log1p),
    "maximum": _maximum,
    "minimum": _minimum,
    "mul": _direct(arith.mulf),
    "neg": _direct(arith.negf),
    "pow": _pow,
    "relu": _relu,
    "round": _direct(math.roundeven),
    "rsqrt": _direct(math.rsqrt),
    "sigmoid": _sigmoid,
    "silu": _silu,
    "sin": _direct(math.sin),
    "sqrt": _direct(math.sqrt),
    "sub": _direct(arith.subf),
    "tanh": _direct(tanh),
}
"""Ops on floating point, by name without `graph.`."""

EXACT = frozenset({"abs", "copysign", "maximum", "minimum", "neg", "relu"})
"""Ops whose result is never rounded, so that half precision needs no detour through f32."""


JUMPING = frozenset(
    f"graph.{name}" for name in ("bitcast", "cast", "ceil", "compare", "floor", "fmod", "pow", "quantize", "round")
)
"""Ops whose results may differ by more than a rounding where their operands do."""

# fmt: off
LONG = frozenset(f"graph.{name}" for name in (
    "cos", "div", "erf", "exp", "expm1", "fmod", "gelu", "log", "log1p", "lookup", "pow", "rsqrt", "sigmoid", "silu",
    "sin", "sqrt", "tanh",
))
# fmt: on
"""Ops that compute longer than it takes to read an operand from a cache: polynomials, divisions, roots, look-ups."""


# ---------------------------------------------------------------------------------------------------------------------
# Integers: wrap-around arithmetic; on i1 add is or, mul is and, as in PyTorch
# ---------------------------------------------------------------------------------------------------------------------


def _by_width(boolean: Callable[..., ir.Value] | None, integer: Callable[..., ir.Value]) -> Emitter:
    """The emitter of an op with one upstream op for i1 (None where undefined) and one for other integers."""

    def emit_integer(attrs: Attributes, values: Values) -> ir.Value:
        if not is_bool(scalar_type(values[0].type)):
            return integer(*values)
        if boolean is None:
            raise PayloadError("is not defined on element type i1; cast its operands first")
        return boolean(*values)

    return emit_integer


def _identity(value: ir.Value) -> ir.Value:
    return value


def _negate(value: ir.Value) -> ir.Value:
    return arith.subi(constant(value.type, 0), value)


def _relu_integer(value: ir.Value) -> ir.Value:
    return arith.maxsi(value, constant(value.type, 0))


def _divide(lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    """Processors trap on a divisor of 0 and on the one quotient that does not fit; divisors of 0 and -1 stay away."""
    zero, one = constant(lhs.type, 0), constant(lhs.type, 1)
    is_zero, is_minus = compare("eq", rhs, zero), compare("eq", rhs, constant(lhs.type, -1))
    quotient = arith.divsi(lhs, arith.select(arith.ori(is_zero, is_minus), one, rhs))
    return arith.select(is_zero, zero, arith.select(is_minus, _negate(lhs), quotient))


def _shift_left(lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    """A shift by the width or more is poison upstream."""
    zero = constant(lhs.type, 0)
    within = arith.cmpi(arith.CmpIPredicate.ult, rhs, constant(lhs.type, scalar_type(lhs.type).width))
    return arith.select(within, arith.shli(lhs, arith.select(within, rhs, zero)), zero)


def _shift_right(lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    # Read as unsigned, a negative number is a large one.
    return arith.shrsi(lhs, arith.minui(rhs, constant(lhs.type, scalar_type(lhs.type).width - 1)))


INTEGER: dict[str, Emitter] = {
    "abs": _by_width(_identity, math.absi),
    "add": _by_width(arith.ori, arith.addi),
    "bitwise_and": _direct(arith.andi),
    "bitwise_or": _direct(arith.ori),
    "bitwise_xor": _direct(arith.xori),
    "ceil": _direct(_identity),
    "div": _by_width(None, _divide),
    "floor": _direct(_identity),
    "maximum": _by_width(arith.ori, arith.maxsi),
    "minimum": _by_width(arith.andi, arith.minsi),
    "mul": _by_width(arith.andi, arith.muli),
    "neg": _by_width(None, _negate),
    "relu": _by_width(_identity, _relu_integer),
    "round": _direct(_identity),
    "shift_left": _by_width(None, _shift_left),
    "shift_right": _by_width(None, _shift_right),
    "sub": _by_width(None, arith.subi),
}
"""Ops on integers, by name without `graph.`; the others are defined on floating point only."""
