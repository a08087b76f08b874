"""`expand-math`: functions of the math dialect that IREE computes badly, or not at all, become arithmetic.

IREE's sin and cos reduce no range, its atan loses digits, its float64 has no sin, its erf is slow, and expm1 is exp
less 1. The pass runs where math ops are on scalars (in linalg) and on vectors of the machine: in our kernels and in
what IREE compiles. exp and tanh are IREE's own: good to a few units in the last place, and fast. Of a number that the
compiler knows to be NaN, as a constant tells it, IREE's exp is anything: there NaN is chosen beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import isnan

from terrace.lowering.conversion.functions import error, exponential, inverse, logarithmic, power, trigonometric
from terrace.lowering.conversion.functions.number import Number, number_or_nan
from terrace.lowering.graph.payload_types import cast, compute_type, is_float, scalar_type
from terrace.mlir import ir, math, walk
from terrace.passes import Pass

FUNCTIONS: dict[str, Callable[..., Number]] = {
    "math.acos": inverse.acos,
    "math.acosh": logarithmic.acosh,
    "math.asin": inverse.asin,
    "math.asinh": logarithmic.asinh,
    "math.atan": inverse.atan,
    "math.atan2": inverse.atan2,
    "math.atanh": logarithmic.atanh,
    "math.cos": trigonometric.cos,
    "math.cosh": exponential.cosh,
    "math.erf": error.erf,
    "math.exp2": exponential.exp2,
    "math.expm1": exponential.expm1,
    "math.log": logarithmic.log,
    "math.log1p": logarithmic.log1p,
    "math.log2": logarithmic.log2,
    "math.powf": power.pow,
    "math.sin": trigonometric.sin,
    "math.sinh": exponential.sinh,
    "math.tan": trigonometric.tan,
}


def exp(x: Number) -> Number:
    """IREE's, or NaN."""
    return number_or_nan(x, Number(math.exp(x.value)))


def is_nan(operation: ir.Operation) -> bool:
    """Whether an op is a constant NaN."""
    if operation.name != "arith.constant":
        return False
    value = operation.attributes["value"]
    if isinstance(value, ir.DenseElementsAttr) and value.is_splat:
        value = value.get_splat_value()
    return isinstance(value, ir.FloatAttr) and isnan(value.value)


@dataclasses.dataclass(frozen=True)
class ExpandMath(Pass):
    """Compute sin, atan2, log1p and the like by arithmetic on floats and their bits; f16 and bf16 in f32."""

    name = "expand-math"

    def run(self, module: ir.Operation) -> None:
        for function in module.regions[0].blocks[0].operations:
            operations = list(walk(function.operation))
            # Elsewhere no compiler knows a NaN.
            guarded = {"math.exp": exp} if any(map(is_nan, operations)) else {}
            functions = FUNCTIONS | guarded
            for operation in operations:
                if operation.name in functions and is_float(scalar_type(operation.results[0].type)):
                    self._expand(operation, functions[operation.name])

    @staticmethod
    def _expand(operation: ir.Operation, function: Callable[..., Number]) -> None:
        element = scalar_type(operation.results[0].type)
        wide = compute_type(element)
        with ir.InsertionPoint(operation), operation.location:
            operands = [Number(cast(operand, wide)) for operand in operation.operands]
            result = cast(function(*operands).value, element)
        operation.results[0].replace_all_uses_with(result)
        operation.erase()
