"""How floating-point values of the IR are written in C++: as floats, or in a fixed-point format.

In a fixed-point format, `number` is the type of what stands in memory, and `wide` that of what is computed between
loads and stores: sums and products are exact there, but for products of computed values, which are rounded to its
fraction.
Division and the functions of math are computed in float32 and rounded. Weights on chip are bit patterns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from terrace.dialects.base import to_python
from terrace.lowering.target.hls.expressions import (
    AP_INT_INCLUDE,
    CALLS,
    HEADER,
    c_type,
    expression,
    float_literal,
    literal,
    needs_ap_int,
    strip,
)
from terrace.mlir import ir, operation_of
from terrace.number_format import FixedPoint

NUMBER_FORMAT = "hls.number_format"
"""The attribute of a module at the level "hls" whose floats are computed in fixed point."""


class Floats:
    """Floating-point values are what they are."""

    format: FixedPoint | None = None

    def __init__(self, needs_ap_int: bool = False) -> None:
        self.needs_ap_int = needs_ap_int

    @property
    def needs_ap_types(self) -> bool:
        """Whether the C++ includes headers of Vitis HLS's types."""
        return self.needs_ap_int or self.format is not None

    def type_name(self, type_: ir.Type) -> str | None:
        """The C++ type of a value, or None if it has none."""
        return c_type(type_)

    def memory_type(self, memory: ir.Value) -> str | None:
        """The C++ type of an element of a memory."""
        return self.type_name(ir.MemRefType(memory.type).element_type)

    def global_type(self, element: ir.Type) -> str | None:
        """The C++ type of an element of a weight on chip."""
        return self.type_name(element)

    def from_global(self, text: str, element: ir.Type) -> str:
        """An element of a weight on chip as a value."""
        return text

    def literal(self, operation: ir.Operation) -> str | None:
        """A scalar constant."""
        return literal(operation)

    def expression(self, operation: ir.Operation, operands: Sequence[str]) -> str | None:
        """The value of an op on operands that are C++ expressions, or None."""
        return expression(operation, operands)

    def header(self) -> str:
        """What terrace_math.h declares."""
        return HEADER + AP_INT_INCLUDE if self.needs_ap_int else HEADER

    def elements(self, values: np.ndarray) -> list[str]:
        """The elements of a weight on chip."""
        flat = np.ascontiguousarray(values).reshape(-1)
        if flat.dtype.kind == "f":
            suffix = "f" if flat.dtype == np.float32 else ""
            return [float_literal(number, suffix) for number in flat.tolist()]
        return [str(int(number)) for number in flat.tolist()]


_FIXED_INCLUDE = "#include <ap_fixed.h>\n"


def _from_float(name: str, format_: FixedPoint) -> str:
    """The C++ function that rounds a float32 to a type."""
    return f"""\
inline {name} {name}_of(float x) {{
  if (x != x) return {name}(0);
  if (x >= {2.0 ** (format_.integer - 1)!r}) return {name}({format_.largest!r});
  if (x <= {format_.smallest!r}) return {name}({format_.smallest!r});
  return {name}(x);
}}
"""


def _is_f32(type_: ir.Type) -> bool:
    return isinstance(type_, ir.F32Type)


class FixedNumbers(Floats):
    """f32 is computed in a fixed-point format; f64 has no meaning beside it."""

    def __init__(self, format_: FixedPoint, needs_ap_int: bool = False) -> None:
        super().__init__(needs_ap_int)
        self.format = format_

    def type_name(self, type_: ir.Type) -> str | None:
        if _is_f32(type_):
            return "wide"
        return None if isinstance(type_, ir.FloatType) else c_type(type_)

    def memory_type(self, memory: ir.Value) -> str | None:
        element = ir.MemRefType(memory.type).element_type
        if not _is_f32(element):
            return self.type_name(element)
        return "wide" if _is_computed_into(memory) else "number"

    def global_type(self, element: ir.Type) -> str | None:
        if not _is_f32(element):
            return self.type_name(element)
        assert self.format is not None
        return next(f"int{bits}_t" for bits in (8, 16, 32, 64) if self.format.width <= bits)

    def from_global(self, text: str, element: ir.Type) -> str:
        return f"from_bits({text})" if _is_f32(element) else text

    def literal(self, operation: ir.Operation) -> str | None:
        if not _is_f32(operation.results[0].type):
            return literal(operation)
        value, wide = to_python(operation.attributes["value"]), self._wide
        if math.isnan(value):
            return None
        return f"wide({min(max(value, wide.smallest), wide.largest)!r})"

    @property
    def _wide(self) -> FixedPoint:
        assert self.format is not None
        return self.format.wide

    def expression(self, operation: ir.Operation, operands: Sequence[str]) -> str | None:
        inputs, result = [v.type for v in operation.operands], operation.results[0].type
        if any(isinstance(t, ir.FloatType) and not _is_f32(t) for t in (*inputs, result)):
            return None
        if not any(map(_is_f32, (*inputs, result))) or operation.name == "arith.cmpf":
            return expression(operation, operands)
        name, own = operation.name, [strip(o) for o in operands]
        signs = {"arith.addf": "+", "arith.subf": "-", "arith.mulf": "*"}
        if name in signs:
            return f"wide({operands[0]} {signs[name]} {operands[1]})"
        if name == "arith.negf":
            return f"wide(-{operands[0]})"
        if name == "math.fma":
            return f"wide({operands[0]} * {operands[1]} + {operands[2]})"
        if name in ("arith.maximumf", "arith.minimumf"):
            return f"{CALLS[name]}<wide>({', '.join(own)})"
        if name == "math.absf":
            return f"maximum<wide>({own[0]}, -{operands[0]})"
        if name == "arith.select":
            return f"{operands[0]} ? wide({own[1]}) : wide({own[2]})"
        if name == "arith.sitofp" or (name == "arith.uitofp" and c_type(inputs[0]) == "bool"):
            return f"wide({own[0]})"
        return self._in_float(operation, own)

    @staticmethod
    def _in_float(operation: ir.Operation, operands: Sequence[str]) -> str | None:
        """Division, functions, and the rounding to an integer."""
        floats = [f"to_float({o})" for o in operands]
        if operation.name == "arith.divf":
            return f"wide_of({floats[0]} / {floats[1]})"
        text = expression(operation, floats) if operation.name in (*CALLS, "arith.fptosi", "math.rsqrt") else None
        if text is None or operation.name == "arith.fptosi":
            return text
        return f"wide_of({text})"

    def header(self) -> str:
        assert self.format is not None
        wide = self._wide
        return f"""{super().header()}{_FIXED_INCLUDE}
typedef {self.format.text} number;  // in memory
typedef {wide.text} wide;  // between loads and stores

// A number by its bit pattern, as weights on chip are kept.
inline number from_bits(int64_t bits) {{
  number value;
  value.range({self.format.width - 1}, 0) = bits;
  return value;
}}

// To and from float32, in which division and functions are computed; out of range is the nearest number, NaN is 0.
inline float to_float(wide x) {{ return x.to_float(); }}
{_from_float("number", self.format)}{_from_float("wide", wide)}"""

    def elements(self, values: np.ndarray) -> list[str]:
        """Bit patterns, rounded as C++ would round; what is out of range must have been refused."""
        if values.dtype != np.float32:
            return super().elements(values)
        assert self.format is not None
        return [str(bits) for bits in bit_patterns(values, self.format).reshape(-1).tolist()]


def bit_patterns(values: np.ndarray, format_: FixedPoint) -> np.ndarray:
    """Numbers in a format, as integers in units of its last place; out of range they saturate."""
    scaled = np.asarray(values, np.float64) * 2.0**format_.fraction
    modes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "AP_TRN": np.floor,
        "AP_TRN_ZERO": np.trunc,
        "AP_RND": lambda x: np.floor(x + 0.5),
        "AP_RND_ZERO": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
        "AP_RND_MIN_INF": lambda x: np.ceil(x - 0.5),
        "AP_RND_INF": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
        "AP_RND_CONV": np.rint,
    }
    unit = 2.0**format_.fraction
    rounded = modes[format_.rounding](scaled)
    low = format_.smallest if format_.overflow != "AP_SAT_SYM" else -format_.largest
    return np.clip(rounded, low * unit, format_.largest * unit).astype(np.int64)


def _is_computed_into(memory: ir.Value, above: tuple[ir.Value, ...] = ()) -> bool:
    """Whether a kernel's own array holds what is computed, and not only zeros and copies of other memory."""
    owner = operation_of(memory)
    if owner is None or owner.name != "memref.alloca" or memory in above:
        return False
    stored = [use.owner.operation.operands[0] for use in memory.uses if use.owner.operation.name == "memref.store"]
    for value in stored:
        source = operation_of(value)
        if source is not None and source.name == "arith.constant" and to_python(source.attributes["value"]) == 0:
            continue
        if source is None or source.name != "memref.load" or _is_computed_into(source.operands[0], (*above, memory)):
            return True
    return False


def numbers_of(module: ir.Operation) -> Floats:
    """How the floats of a module at the level "hls" are written."""
    has_ap_int = needs_ap_int(module)
    if NUMBER_FORMAT not in module.attributes:
        return Floats(has_ap_int)
    format_ = FixedPoint.parse(str(to_python(module.attributes[NUMBER_FORMAT])))
    return Floats(has_ap_int) if format_ is None else FixedNumbers(format_, has_ap_int)
