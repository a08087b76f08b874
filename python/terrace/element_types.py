"""What is known of each element type: a row of a table, which dialects, cost models, generators and targets ask."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class ElementType:
    """A type of a tensor's elements."""

    name: str
    """As MLIR writes it."""
    bits: int
    kind: Literal["float", "integer", "unsigned", "boolean"]
    """Integers are signed."""
    dtype: str
    """NumPy's name, or that of ml_dtypes."""
    computes_in: str
    """The type that kernels, and the reference, compute in; another where this one is for storage alone."""
    sums_in: str
    """The type in which products are added up."""
    fraction: int = 0
    """Bits of a float's fraction; the leading 1 is not among them."""
    in_kernels: bool = False
    """Whether kernels read and write tensors of it, where the target's do; IREE's code generation takes the others."""

    @property
    def bytes(self) -> int:
        """What an element takes in memory."""
        return -(-self.bits // 8)

    @property
    def held(self) -> ElementType:
        """The type that kernels hold an element in, between loads and stores."""
        return ELEMENT_TYPES[self.computes_in]

    @property
    def epsilon(self) -> float | None:
        """The distance from 1 to the next number; None if this is no float."""
        return 2.0**-self.fraction if self.kind == "float" else None

    @property
    def exact_products(self) -> int | None:
        """The most products that `sums_in` always holds exactly; None where sums wrap or round."""
        total = ELEMENT_TYPES[self.sums_in]
        if self.kind != "integer" or total.bits <= 2 * self.bits:
            return None
        return (2 ** (total.bits - 1) - 1) // 2 ** (2 * self.bits - 2)


_TABLE = (
    # name          bits kind        dtype                computes  sums   fraction kernels
    ElementType("f64", 64, "float", "float64", "f64", "f64", 52, True),
    ElementType("f32", 32, "float", "float32", "f32", "f32", 23, True),
    ElementType("f16", 16, "float", "float16", "f32", "f32", 10, True),
    ElementType("bf16", 16, "float", "bfloat16", "f32", "f32", 7, True),
    ElementType("f8E4M3FN", 8, "float", "float8_e4m3fn", "f32", "f32", 3),
    ElementType("f8E5M2", 8, "float", "float8_e5m2", "f32", "f32", 2),
    ElementType("i1", 1, "boolean", "bool", "i1", "i1", 0, True),
    ElementType("i8", 8, "integer", "int8", "i8", "i32", 0, True),
    ElementType("ui8", 8, "unsigned", "uint8", "ui8", "ui8"),
    ElementType("i16", 16, "integer", "int16", "i16", "i16", 0, True),
    ElementType("i32", 32, "integer", "int32", "i32", "i32", 0, True),
    ElementType("i64", 64, "integer", "int64", "i64", "i64", 0, True),
)

ELEMENT_TYPES = {row.name: row for row in _TABLE}
"""The element types by MLIR's names."""

F32 = ELEMENT_TYPES["f32"]
