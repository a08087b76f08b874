"""C++ for single ops of arith and math on scalars: what the printer writes for each, and nothing for any other."""

from __future__ import annotations

import math
from collections.abc import Sequence

from terrace.dialects.base import to_python
from terrace.mlir import ir

INFIX = {
    "arith.addf": "+", "arith.addi": "+", "arith.andi": "&", "arith.divf": "/", "arith.divsi": "/", "arith.mulf": "*",
    "arith.muli": "*", "arith.ori": "|", "arith.remsi": "%", "arith.shli": "<<", "arith.shrsi": ">>", "arith.subf": "-",
    "arith.subi": "-", "arith.xori": "^",
}  # fmt: skip
UNSIGNED = {"arith.divui": "/", "arith.remui": "%", "arith.shrui": ">>"}
CALLS = {
    "arith.maximumf": "maximum", "arith.maxsi": "larger", "arith.minimumf": "minimum", "arith.minsi": "smaller",
    "math.absf": "op::fabs", "math.absi": "magnitude", "math.ceil": "op::ceil", "math.cos": "op::cos",
    "math.erf": "op::erf",
    "math.exp": "op::exp", "math.floor": "op::floor", "math.fma": "op::fma", "math.log": "op::log",
    "math.powf": "op::pow", "math.roundeven": "op::rint", "math.sin": "op::sin", "math.sqrt": "op::sqrt",
    "math.tanh": "op::tanh", "math.trunc": "op::trunc",
}  # fmt: skip
CASTS = (
    "arith.extf",
    "arith.extsi",
    "arith.fptosi",
    "arith.index_cast",
    "arith.sitofp",
    "arith.truncf",
    "arith.trunci",
)
BOOLEAN_CASTS = ("arith.extui", "arith.uitofp")
"""Legal from i1 only: other integers here are signed."""

COMPARE_INTEGERS = ("==", "!=", "<", "<=", ">", ">=", "<", "<=", ">", ">=")
FIRST_UNSIGNED = 6

COMPARE_FLOATS = (
    "false", "{0} == {1}", "{0} > {1}", "{0} >= {1}", "{0} < {1}", "{0} <= {1}", "({0} < {1} || {0} > {1})",
    "({0} == {0} && {1} == {1})", "!({0} < {1} || {0} > {1})", "!({0} <= {1})", "!({0} < {1})", "!({0} >= {1})",
    "!({0} > {1})", "{0} != {1}", "!({0} == {0} && {1} == {1})", "true",
)  # fmt: skip
"""By the number of arith.cmpf's predicate; the unordered ones are negations, as C's comparisons are ordered."""

HEADER = """\
// What the generated code computes with: functions of C++ in simulation, of Vitis HLS in synthesis.
#pragma once
#include <cstdint>
#ifdef __SYNTHESIS__
#include <hls_math.h>
namespace op = hls;
#else
#include <cmath>
namespace op = std;
#endif

// The larger and the smaller of two numbers; NaN if either is.
template <typename T> inline T maximum(T a, T b) { return (a > b || a != a) ? a : b; }
template <typename T> inline T minimum(T a, T b) { return (a < b || a != a) ? a : b; }
// The size of an integer; that of the smallest is itself.
template <typename T> inline T magnitude(T a) { return a < 0 ? T(0 - a) : a; }
template <typename T> inline T larger(T a, T b) { return a > b ? a : b; }
template <typename T> inline T smaller(T a, T b) { return a < b ? a : b; }
"""


def c_type(type_: ir.Type) -> str | None:
    """The C++ type of a scalar, or None."""
    if isinstance(type_, ir.IndexType):
        return "int"
    if isinstance(type_, ir.IntegerType):
        return {1: "bool", 8: "int8_t", 16: "int16_t", 32: "int32_t", 64: "int64_t"}.get(type_.width)
    return {"f32": "float", "f64": "double"}.get(str(type_))


def literal(operation: ir.Operation) -> str | None:
    """An arith.constant scalar as C++ writes it."""
    value, type_ = to_python(operation.attributes["value"]), str(operation.results[0].type)
    if isinstance(value, float):
        return float_literal(value, "f" if type_ == "f32" else "")
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int):
        return None
    # A plain number is an int: shifts of it would be too narrow, and templates want both operands of one type.
    return str(value) if type_ in ("i32", "index") else f"{c_type(operation.results[0].type)}({value})"


def float_literal(value: float, suffix: str) -> str:
    """A number that reads back as itself in the type of `suffix`."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{value:.9g}" if suffix else repr(value)
    return (text if any(c in text for c in ".en") else f"{text}.0") + suffix


def expression(operation: ir.Operation, operands: Sequence[str]) -> str | None:
    """The value of an op on operands that are C++ expressions; None for an op that has no C++ here."""
    name, result = operation.name, operation.results[0].type
    if name in INFIX:
        text = f"{operands[0]} {INFIX[name]} {operands[1]}"
        # C++ computes with int where the type is narrower, and does not wrap.
        return f"{c_type(result)}({text})" if c_type(result) in ("int8_t", "int16_t") else text
    if name in CALLS:
        return f"{CALLS[name]}({', '.join(strip(o) for o in operands)})"
    if name in UNSIGNED:
        unsigned = _unsigned(operation.operands[0].type)
        return f"{c_type(result)}({unsigned}({operands[0]}) {UNSIGNED[name]} {unsigned}({operands[1]}))"
    if name in ("arith.minui", "arith.maxui"):
        unsigned = _unsigned(result)
        function = "smaller" if name == "arith.minui" else "larger"
        return f"{c_type(result)}({function}({unsigned}({operands[0]}), {unsigned}({operands[1]})))"
    if name == "arith.select":
        return f"{operands[0]} ? {operands[1]} : {operands[2]}"
    if name == "arith.negf":
        return f"-{operands[0]}"
    if name == "math.rsqrt":
        return f"{c_type(result)}(1) / op::sqrt({strip(operands[0])})"
    if name in ("arith.extsi", "arith.sitofp") and c_type(operation.operands[0].type) == "bool":
        return f"{c_type(result)}(-int({strip(operands[0])}))"  # one bit as two's complement is 0 or -1
    if name in CASTS or (name in BOOLEAN_CASTS and c_type(operation.operands[0].type) == "bool"):
        return f"{c_type(result)}({strip(operands[0])})"
    if name in ("arith.cmpf", "arith.cmpi"):
        return _comparison(operation, operands)
    return None


def _comparison(operation: ir.Operation, operands: Sequence[str]) -> str:
    predicate = to_python(operation.attributes["predicate"])
    if operation.name == "arith.cmpf":
        return COMPARE_FLOATS[predicate].format(*operands)
    if predicate >= FIRST_UNSIGNED:
        unsigned = _unsigned(operation.operands[0].type)
        operands = [f"{unsigned}({strip(o)})" for o in operands]
    return f"{operands[0]} {COMPARE_INTEGERS[predicate]} {operands[1]}"


def _unsigned(type_: ir.Type) -> str:
    return "unsigned" if isinstance(type_, ir.IndexType) else f"u{c_type(type_)}"


def strip(text: str) -> str:
    """Without the parentheses around all of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:-1] if position == len(text) - 1 else text
    return text
