"""Other schedules of matmul and batch_matmul kernels that are worth measuring."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from terrace.lowering.kernels.alternatives import other_tiles, with_block, with_tile
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.matmul.schedule import (
    ASSUMED_SIZE,
    HEIGHTS,
    is_packed,
    operand_bytes,
    packed_rhs,
    schedule_for_vectors,
)
from terrace.lowering.kernels.packing import Copy, Packing
from terrace.lowering.kernels.register_tile import RegisterTile, ranked_tiles
from terrace.lowering.kernels.schedule import Cut, Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.work_division import round_up
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC

SHORT_HEIGHT = 7
"""Rows of lhs that fit the 8 ways of a cache together, whatever their pitch is."""


def alternatives(
    space: IterationSpace,
    transpose_rhs: bool,
    constant: Sequence[bool],
    rule: TypeRule,
    chosen: Schedule,
    machine: VectorMachine,
) -> Iterator[Schedule]:
    """Other tiles, columns copied or read in place, rows in blocks that stay near, multiply-adds for an atom."""
    size = space.known(ASSUMED_SIZE)
    given = space, transpose_rhs, constant, rule, machine
    stages, own = bool(chosen.staged), RegisterTile(chosen.tile("m"), chosen.tile("n"))
    ranked = ranked_tiles(size["m"], size["n"], HEIGHTS, machine)
    short = ranked_tiles(size["m"], size["n"], range(1, SHORT_HEIGHT + 1), machine)[:1]
    if not is_packed(space, constant) and space.size("k") != DYNAMIC:
        yield schedule_for_vectors(*given, own, not stages)
        yield schedule_for_vectors(*given, stages=not stages)
    tiles = list(dict.fromkeys([*other_tiles(ranked, own), *short]))
    schedules = [schedule_for_vectors(*given, tile, stages) for tile in tiles]
    yield from schedules
    for schedule in (chosen, *schedules[:1]):
        yield from _blocked(schedule, size, rule, machine)
    if chosen.atom is not None:
        packed = packed_rhs(space, transpose_rhs, constant, own.columns)
        yield _without_atom(chosen, packed)


def _blocked(schedule: Schedule, size: dict[str, int], rule: TypeRule, machine: VectorMachine) -> Iterator[Schedule]:
    """Fewer copied columns at a time; or rows whose part of lhs stays in the second cache for all columns."""
    rows = machine.l2_bytes // 2 // (operand_bytes(rule) * size["k"]) // schedule.tile("m") * schedule.tile("m")
    if schedule.staged:
        columns = schedule.block("n") // 2 // schedule.tile("n") * schedule.tile("n")
        if "k" not in schedule.cut("local").sizes and columns:
            yield with_block(schedule, "n", columns)
    elif schedule.tile("m") <= rows < (schedule.block("m") or size["m"]):
        yield with_block(schedule, "m", rows)
        yield with_block(schedule, "m", round_up(max(rows // 4, 1), schedule.tile("m")))


def _without_atom(schedule: Schedule, packed: Mapping[str, Packing]) -> Schedule:
    """The same by multiply-adds: weights `packed` for these, and nothing packed by workers."""

    def entering(cut: Cut) -> Mapping[str, Packing]:
        copied = {name: how for name, how in cut.enters.items() if isinstance(how, Copy)}
        return packed if cut.memory == "device" else copied

    cuts = tuple(dataclasses.replace(cut, enters=entering(cut)) for cut in schedule.cuts)
    return with_tile(dataclasses.replace(schedule, cuts=cuts, atom=None), "k", 1)
