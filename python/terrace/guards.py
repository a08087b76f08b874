"""Relations of sizes and numbers that a call must meet, as plain data, and their evaluation.

An expression is a number, the name of a size or number, or a list of an operator and its operands:
`["==", ["%", "n", 2], 0]`. Nothing in one can do more than arithmetic.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Expression = int | float | str | list["Expression"]
"""A list is an operator's name and its operands."""

Values = Mapping[str, float]
"""What sizes and numbers are called, and are in a call."""

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": operator.neg,
    "not": operator.not_,
    "abs": abs,
    "ceil": math.ceil,
    "float": float,
    "floor": math.floor,
    "round": round,
    "trunc": math.trunc,
}
VARIADIC: dict[str, Callable[[list[Any]], Any]] = {"and": all, "or": any, "max": max, "min": min}

_PRECEDENCE = {"or": 1, "and": 2, "not": 3, **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 4), "+": 5, "-": 5}
_PRODUCT, _ATOM = 6, 9
_DEEPEST = 100


def check_expression(expression: Expression, depth: int = 0) -> None:
    """Raise ValueError if `expression` is none, or is nested too deep."""
    if isinstance(expression, str) or (isinstance(expression, (int, float)) and not isinstance(expression, bool)):
        return
    if not isinstance(expression, list) or not expression or depth > _DEEPEST:
        raise ValueError(f"no expression of sizes: {expression!r:.100}")
    name, *operands = expression
    count = len(operands)
    known = {*(BINARY if count == 2 else ()), *(UNARY if count == 1 else ()), *(VARIADIC if count else ())}
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"no operator of sizes: {name!r:.100} of {count}")
    for operand in operands:
        check_expression(operand, depth + 1)


def compiled(expression: Expression) -> Callable[[Values], Any]:
    """The function that evaluates an expression."""
    if isinstance(expression, str):
        return operator.itemgetter(expression)
    if not isinstance(expression, list):
        return lambda values: expression
    name, rest = str(expression[0]), expression[1:]
    operands = [compiled(operand) for operand in rest]
    if name in BINARY:
        function, (lhs, rhs) = BINARY[name], operands
        return lambda values: function(lhs(values), rhs(values))
    if name in UNARY:
        return lambda values: UNARY[name](operands[0](values))
    if name in ("and", "or"):  # What follows may be defined only where what comes first holds.
        return lambda values: VARIADIC[name](operand(values) for operand in operands)  # type: ignore[arg-type]
    return lambda values: VARIADIC[name]([operand(values) for operand in operands])


def holds(guard: Callable[[Values], Any], values: Values) -> bool:
    """Whether a compiled guard holds; one that divides by zero does not."""
    try:
        return bool(guard(values))
    except (ZeroDivisionError, OverflowError):
        return False


def names_in(expression: Expression) -> list[str]:
    """The sizes and numbers that an expression is about, in order."""
    if isinstance(expression, str):
        return [expression]
    operands = expression[1:] if isinstance(expression, list) else []
    return list(dict.fromkeys(name for operand in operands for name in names_in(operand)))


def text_of(expression: Expression, least: int = 0) -> str:
    """An expression as Python would write it; `least` is the precedence that needs no brackets."""
    if isinstance(expression, str):  # "2*n" is a name, too.
        return f"({expression})" if least and re.search(r"[*+ -]", expression) else expression
    if not isinstance(expression, list):
        return str(expression)
    name, operands = str(expression[0]), expression[1:]
    precedence = _PRECEDENCE.get(name, _PRODUCT)
    if name in ("not", "neg"):
        text = f"{'-' if name == 'neg' else 'not '}{text_of(operands[0], precedence + 1)}"
    elif name in BINARY or name in ("and", "or"):
        parts = [text_of(operand, precedence + (number > 0)) for number, operand in enumerate(operands)]
        text = f" {name} ".join(parts)
    else:
        text, precedence = f"{name}({', '.join(map(text_of, operands))})", _ATOM
    return text if precedence >= least else f"({text})"
