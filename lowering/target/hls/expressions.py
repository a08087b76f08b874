"""C++ for single ops of arith and math on scalars: what the printer writes for each, and nothing for any other.

Integers of 8, 16, 32 and 64 bits are C++'s; those of other widths up to 64 are `ap_int` of Vitis HLS. What an operator
of `ap_int` gives is wider than its operands, so each result is cut to its type: it wraps around as in the IR.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from terrace.dialects.base import to_python
from terrace.mlir import ir, walk

INFIX = {
    "arith.addf": "+", "arith.addi": "+", "arith.andi": "&", "arith.divf": "/", "arith.divsi": "/", "arith.mulf": "*",
    "arith.muli": "*", "arith.ori": "|", "arith.remsi": "%", "arith.shli": "<<", "arith.shrsi": ">>", "arith.subf": "-",
    "arith.subi": "-", "arith.xori": "^",
}  # fmt: skip
UNSIGNED = {"arith.divui": "/", "arith.remui": "%", "arith.shrui": ">>"}
CALLS = {
    "arith.maximumf": "maximum", "arith.maxsi": "larger", "arith.minimumf": "minimum", "arith.minsi": "smaller",
    "math.absf": "op::fabs", "math.absi": "magnitude", "math.ceil": "op::ceil", "math.cos": "op::cos",
    "math.erf": "op::erf", "math.exp": "op::exp", "math.expm1": "op::expm1", "math.floor": "op::floor",
    "math.fma": "op::fma", "math.log": "op::log", "math.log1p": "op::log1p",
    "math.powf": "op::pow", "math.roundeven": "op::rint", "math.sin": "op::sin", "math.sqrt": "op::sqrt",
    "math.tanh": "op::tanh", "math.trunc": "op::trunc",
}  # fmt: skip
CASTS = (
    "arith.extf",
    "arith.extsi",
    "arith.extui",
    "arith.fptosi",
    "arith.index_cast",
    "arith.sitofp",
    "arith.truncf",
    "arith.trunci",
    "arith.uitofp",
)

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

AP_INT_INCLUDE = "#include <ap_int.h>\n"

_C_WIDTHS = (8, 16, 32, 64)
"""The bits of C++'s integers."""


def is_ap_int(type_: ir.Type) -> bool:
    """Whether a scalar is an integer that C++ has no type of its own for, and Vitis HLS has."""
    return isinstance(type_, ir.IntegerType) and 1 < type_.width < _C_WIDTHS[-1] and type_.width not in _C_WIDTHS


def needs_ap_int(operation: ir.Operation) -> bool:
    """Whether an op, or one in it, has a value or memory of such integers."""
    return any(is_ap_int(_scalar(type_)) for inner in (operation, *walk(operation)) for type_ in _types(inner))


def _types(operation: ir.Operation) -> list[ir.Type]:
    arguments = [a.type for region in operation.regions for block in region.blocks for a in block.arguments]
    own = [to_python(operation.attributes["type"])] if operation.name == "memref.global" else []
    return [*arguments, *own, *(result.type for result in operation.results)]


def _scalar(type_: ir.Type) -> ir.Type:
    return ir.ShapedType(type_).element_type if isinstance(type_, ir.ShapedType) else type_


def bits_in_files(width: int) -> int:
    """The bits that an integer has in files: those of C++'s next type, which it is extended to by its sign."""
    return next((bits for bits in _C_WIDTHS if width <= bits), width)


def file_type(type_: ir.Type) -> str | None:
    """The C++ type that files hold a scalar as, or None."""
    return f"int{bits_in_files(type_.width)}_t" if is_ap_int(type_) else c_type(type_)


def c_type(type_: ir.Type) -> str | None:
    """The C++ type of a scalar, or None."""
    if isinstance(type_, ir.IndexType):
        return "int"
    if isinstance(type_, ir.IntegerType):
        if is_ap_int(type_):
            return f"ap_int<{type_.width}>"
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
        # A shift by a signed ap_int could go the other way.
        is_shift = name in ("arith.shli", "arith.shrsi") and is_ap_int(result)
        right = f"{_unsigned(result)}({strip(operands[1])})" if is_shift else operands[1]
        text = f"{operands[0]} {INFIX[name]} {right}"
        # C++ computes with int where the type is narrower, and ap_int with more bits; neither wraps.
        return f"{c_type(result)}({text})" if c_type(result) in ("int8_t", "int16_t") or is_ap_int(result) else text
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
    if name in ("arith.cmpf", "arith.cmpi"):
        return _comparison(operation, operands)
    return _cast(operation, operands[0]) if name in CASTS else None


def _cast(operation: ir.Operation, operand: str) -> str:
    name, source, result = operation.name, operation.operands[0].type, operation.results[0].type
    kind, is_bit = c_type(result), c_type(source) == "bool"
    if is_bit and name in ("arith.extsi", "arith.sitofp"):
        return f"{kind}(-int({strip(operand)}))"  # one bit as two's complement is 0 or -1
    if not is_bit and name in ("arith.extui", "arith.uitofp"):
        return f"{kind}({_unsigned(source)}({strip(operand)}))"
    if name == "arith.trunci" and kind == "bool":
        return f"bool({operand} & {c_type(source)}(1))"
    if name == "arith.fptosi" and is_ap_int(result):
        return f"{kind}(int64_t({strip(operand)}))"
    return f"{kind}({strip(operand)})"


def _comparison(operation: ir.Operation, operands: Sequence[str]) -> str:
    predicate = to_python(operation.attributes["predicate"])
    if operation.name == "arith.cmpf":
        return COMPARE_FLOATS[predicate].format(*operands)
    if predicate >= FIRST_UNSIGNED:
        unsigned = _unsigned(operation.operands[0].type)
        operands = [f"{unsigned}({strip(o)})" for o in operands]
    return f"{operands[0]} {COMPARE_INTEGERS[predicate]} {operands[1]}"


def _unsigned(type_: ir.Type) -> str:
    if is_ap_int(type_):
        return f"ap_uint<{type_.width}>"
    return "unsigned" if isinstance(type_, ir.IndexType) else f"u{c_type(type_)}"


_NAME = re.compile(r"[\w:]+(<\d+>)?")


def is_atom(text: str) -> bool:
    """Whether an expression is a name, an element or a call, so that no operator beside it takes it apart.

    It must stand without parentheses: `(double(ap_uint<2>(x))) * y` would be a cast of `*y` to a type of functions.
    """
    name = _NAME.match(text)
    depth = 0
    for character in text[name.end() :] if name is not None else " ":
        if depth == 0 and character not in "([":
            return False
        depth += (character in "([") - (character in ")]")
    return True


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
