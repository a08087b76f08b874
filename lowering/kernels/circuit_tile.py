"""Tiles of circuits: small, as each element is a register and each operation a unit.

A tile's sizes divide what they tile wherever they can: a tail would be a second circuit. Pure functions of sizes.
"""

from __future__ import annotations

from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule

COLUMNS = 16
"""Accumulators of a contraction: the width that is unrolled, if there are multipliers enough."""

DEPTH = 8
"""Steps of a contraction whose operands are fetched together."""

ROW = 32
"""Elements of a row that are worked on together where they are only passed through."""


def divisor(size: int, limit: int) -> int:
    """The largest divisor of `size` up to `limit`; `limit` itself if that is less than a quarter of it."""
    best = max(d for d in range(1, min(size, limit) + 1) if size % d == 0)
    return best if 4 * best >= min(size, limit) else min(size, limit)


def schedule_row_of_circuit(space: IterationSpace) -> Schedule:
    """Elementwise kernels and copies, and rows of softmax and norms: parts of the last dimension."""
    last = space.names[-1]
    return Schedule.of({last: divisor(space.size(last), ROW)})
