"""Where the elements of a head stand in memory."""

from __future__ import annotations

import dataclasses

from terrace.dialects.graph_contraction import heads_moved
from terrace.lowering.kernels.builder import Index


@dataclasses.dataclass(frozen=True)
class Heads:
    """A head: its indices among batches and heads, those of its keys and values, and which tensors have rows first."""

    own: tuple[Index, ...]
    of_keys: tuple[Index, ...]
    inner: tuple[int, ...]

    def indices(self, number: int, row: Index, column: Index) -> list[Index]:
        """Where an element of query, key, value or result stands in memory."""
        outer = [*(self.of_keys if number in (1, 2) else self.own), row, column]
        return heads_moved(outer) if number in self.inner else outer

    def row_axis(self, number: int) -> int:
        return len(self.own) - (number in self.inner)
