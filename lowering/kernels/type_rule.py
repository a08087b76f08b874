"""Which element types the root of a kernel reads, computes in and gives, by MLIR's names."""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import element_type_of
from terrace.element_types import ELEMENT_TYPES
from terrace.mlir import ir


@dataclasses.dataclass(frozen=True)
class TypeRule:
    """Operands of these types are computed with, and summed, in the accumulator's; the result has one of `results`."""

    operands: tuple[str, ...]
    accumulator: str
    results: tuple[str, ...]

    def takes(self, types: tuple[str, ...]) -> bool:
        """Whether this is the rule of a root's types."""
        return types[:-1] == self.operands and types[-1] in self.results


def types_of(root: ir.Operation) -> tuple[str, ...]:
    """The element types of a root's operands, sizes aside, and, last, of its result."""
    tensors = (value for value in [*root.operands, *root.results] if not isinstance(value.type, ir.IndexType))
    return tuple(str(element_type_of(value)) for value in tensors)


def all_in(accumulator: str, types: tuple[str, ...]) -> TypeRule | None:
    """The rule of a root all of whose types are computed in one; None for others."""
    rows = [ELEMENT_TYPES.get(name) for name in types]
    if all(row is not None and row.computes_in == accumulator for row in rows):
        return TypeRule(types[:-1], accumulator, types[-1:])
    return None
