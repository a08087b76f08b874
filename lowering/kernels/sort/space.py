"""How many places of a line a kernel finds, and by which of its two ways."""

from __future__ import annotations

from terrace.dialects.base import attributes_of, shape_of
from terrace.mlir import DYNAMIC, ir

FEW = 32
"""Places that a list is kept for."""

SHORT = 16
"""Elements of a line that is put into a list as a whole: a radix sort counts digits, however few elements there are."""

LONGEST = 1 << 17
"""Elements of a line whose keys and places, twice, are in a worker's local memory: 24 bytes each at the most."""


def is_whole(root: ir.Operation) -> bool:
    """Whether all of a line is ordered, by a radix sort."""
    size = shape_of(root.operands[0])[attributes_of(root).axis]
    return root.name == "graph.argsort" and not 0 <= size <= SHORT


def refusal(root: ir.Operation) -> str | None:
    """Why there is no kernel, or None."""
    size = shape_of(root.operands[0])[attributes_of(root).axis]
    if root.name == "graph.topk":
        return None if attributes_of(root).count <= FEW else f"more than {FEW} elements of a line"
    if size == DYNAMIC:
        return "an order of an unknown number of elements"
    return f"an order of more than {LONGEST} elements" if size > LONGEST else None
