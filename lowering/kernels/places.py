"""The integers that places along a line are counted in."""

from __future__ import annotations

from terrace.dialects.base import shape_of
from terrace.mlir import DYNAMIC, ir

NARROW = 1 << 31
"""Places in lines shorter than this are counted in 32 bits."""


def integer_of_places(memory: ir.Value) -> ir.IntegerType:
    """That of lines along dimension 1 of a memory."""
    size = shape_of(memory)[1]
    return ir.IntegerType.get_signless(32 if size != DYNAMIC and size < NARROW else 64)
