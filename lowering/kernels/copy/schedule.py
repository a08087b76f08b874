"""The schedule of copies on vectors."""

from __future__ import annotations

from collections.abc import Container, Sequence

from terrace.element_types import ElementType
from terrace.lowering.kernels.elementwise.schedule import schedule_for_vectors as schedule_rows
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import round_up
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC

IN_FLIGHT = 8
"""Vectors that are moved together, of rows that are shorter."""

REPEATED = 4
"""Rows of the result that are made together of one that is repeated."""


def schedule_for_vectors(
    space: IterationSpace,
    moved: Container[int],
    rows: str | None,
    is_repeated: bool,
    types: Sequence[ElementType],
    machine: VectorMachine,
) -> Schedule:
    """Rows as elementwise kernels have them, several at once; blocks of the dimensions that every piece has whole.

    `rows` names the dimension whose rows those are. One that is repeated along it is read once for a tile.
    """
    usual = schedule_rows(space, types, machine)
    tiles, local = dict(usual.cut("register").sizes), usual.cut("local")
    together = max(REPEATED if is_repeated else 1, IN_FLIGHT // -(-tiles[space.names[-1]] // machine.lanes))
    if rows is not None and together > 1:
        size = space.size(rows)
        tiles = {rows: together if size == DYNAMIC else min(together, size), **tiles}
    blocks = {
        name: round_up(size, tiles.get(name, 1))
        for name, size in local.sizes.items()
        if space.names.index(name) not in moved
    }
    return Schedule.of(tiles, blocks, [name for name in local.parallel if name in blocks])
