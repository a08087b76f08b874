"""The schedule of attention kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from terrace.lowering.kernels.circuit_tile import COLUMNS, divisor
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.register_tile import candidates, cover_cycles, shapes
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView
from terrace.lowering.kernels.workgroup_tile import ACCUMULATORS, block_of_tiles, power_of_two
from terrace.machine import VectorMachine, WorkgroupMachine
from terrace.mlir import DYNAMIC

ROWS = "rows"
"""The variant for a few queries: elements of heads in lanes."""

SKIPPING = "skipping"
"""The direct variant, without the blocks of keys that a mask hides from all queries of a tile."""

ASSUMED_LENGTH = 128
"""What an unknown (`?`) number of queries or keys is taken for when tiles are chosen."""

KEYS = 512
"""The most keys whose scores are in memory at a time: so many terms a product adds up at a time, too."""

MINIMUM_KEYS = 64
"""Fewer keys at a time would be scaled down too often."""

KEYS_OF_ROWS = 128
"""Keys at a time of a few queries: so many more may be read than the mask lets them see."""

SKIPPED_KEYS = 128
"""The most keys that are read or skipped together."""

SUM_CYCLES = 12
"""What it takes to add up the lanes of a score, beside the products (AMD EPYC 9005)."""

MOST_SUMS = 8
"""Scores that are summed up in registers together."""

WIDEST = 2048
"""The most elements of a head, of keys and of values together: any local memory holds a query and its result."""


def schedule_for_vectors(
    space: IterationSpace, machine: VectorMachine, width: int | None = None, most_keys: int = KEYS
) -> Schedule:
    """Queries in lanes. The tiles of both products are as wide, and each as high as is best for it.

    The `width` may be given, in vectors.
    """
    size = space.known(ASSUMED_LENGTH)

    def best_height(rows: int, columns: int) -> tuple[float, int]:
        fitting = [tile for tile in candidates(range(1, 15), machine) if tile.columns == columns]
        best = min(
            (cover_cycles(rows, size["m"], tile, machine), shapes(rows, size["m"], tile), -tile.rows)
            for tile in fitting
            if tile.rows <= rows
        )
        return best[0], -best[2]

    def cycles(columns: int) -> float:
        return best_height(size["s"], columns)[0] * size["e"] + best_height(size["n"], columns)[0] * size["s"]

    def keys_beside(columns: int) -> int:
        """How many keys there is room for: scores and queries stay near."""
        room = min(machine.l2_bytes // 4, machine.near_bytes - 4 * columns * (size["e"] + size["n"] + 1))
        return min(most_keys, room // (4 * columns))

    widest = -(-size["m"] // machine.lanes) * machine.lanes
    widths = {tile.columns for tile in candidates((1,), machine) if tile.columns <= widest}
    fitting = [columns for columns in sorted(widths, reverse=True) if keys_beside(columns) >= MINIMUM_KEYS]
    given = [] if width is None else [columns for columns in fitting if columns == width * machine.lanes]
    columns = min(given or fitting or [machine.lanes], key=cycles)
    rows, keys = best_height(size["s"], columns)[1], keys_beside(columns)
    tiles = {"m": columns, "n": best_height(size["n"], columns)[1], "s": rows, "e": 1}
    lead = _lead(space)
    is_whole = space.size("s") != DYNAMIC and size["s"] <= keys
    blocks = {**dict.fromkeys(lead, 1), "m": columns, "s": 0 if is_whole else max(1, keys // rows) * rows}
    return Schedule.of(tiles, blocks, (*lead, "m"), staged=("query",))


def best_variant(kernel: KernelView, direct: Schedule, machine: VectorMachine, rounding: bool = True) -> Schedule:
    """A few queries as rows, where that takes fewer cycles than a vector of which they fill a part.

    None rounds more than another, so whether such may is all the same.
    """
    space = kernel.space
    queries, elements = space.size("m"), space.size("e") + space.size("n")
    if queries != DYNAMIC and queries * (elements / machine.lanes + SUM_CYCLES) < elements:
        return schedule_of_rows(space, machine)
    if len(kernel.root.operands) < 4 or not direct.block("s"):
        return direct
    return dataclasses.replace(schedule_for_vectors(space, machine, most_keys=SKIPPED_KEYS), variant=SKIPPING)


def schedule_of_rows(space: IterationSpace, machine: VectorMachine) -> Schedule:
    """All queries together, up to as many as leave registers for the sums of some keys."""
    rows = min(max(space.size("m"), 1), MOST_SUMS // 2)
    columns = min(space.size("n"), 4 * machine.lanes)
    keys = MOST_SUMS // rows
    tiles = {"m": rows, "n": max(columns, 1), "s": keys, "e": machine.lanes}
    lead = _lead(space)
    blocks = {**dict.fromkeys(lead, 1), "m": rows, "s": KEYS_OF_ROWS // keys * keys}
    return Schedule.of(tiles, blocks, (*lead, "m"), variant=ROWS)


def alternatives(space: IterationSpace, machine: VectorMachine) -> Iterator[Schedule]:
    """More or fewer queries at a time, and fewer keys."""
    for width in (1, 2, 3, 4):
        yield schedule_for_vectors(space, machine, width)
    for keys in (KEYS // 2, KEYS // 4):
        yield schedule_for_vectors(space, machine, most_keys=keys)


def schedule_for_workgroups(space: IterationSpace, machine: WorkgroupMachine) -> Schedule:
    """A tile of both products per workgroup, whose local memory holds queries, scores and sums.

    It is square, or of few queries as high as its area allows.
    """
    size = space.known(ASSUMED_LENGTH)
    area = ACCUMULATORS * machine.workgroup_size
    columns = min(power_of_two(size["m"]), 1 << (area.bit_length() - 1) // 2)
    rows = min(power_of_two(size["s"]), area // columns)

    def exceeds() -> bool:
        return 4 * columns * (size["e"] + size["n"] + rows + 1) > machine.local_bytes

    while rows > columns and exceeds():
        rows //= 2
    while columns > 1 and exceeds():
        columns, rows = columns // 2, max(1, rows // 2)
    tiles = {"m": columns, "n": min(power_of_two(size["n"]), area // columns), "s": rows, "e": 1}
    lead = _lead(space)
    blocks = {name: block_of_tiles(1, space.size(name)) for name in lead}
    blocks |= {"m": block_of_tiles(columns, space.size("m")), "s": rows}
    return Schedule.of(tiles, blocks, (*lead, "m"), staged=("query",))


def schedule_for_circuit(space: IterationSpace) -> Schedule:
    """One row of both products by some queries."""
    tiles = {"m": divisor(space.size("m"), COLUMNS), "n": 1, "s": 1, "e": 1}
    return Schedule.of(tiles, staged=("query",))


def _lead(space: IterationSpace) -> tuple[str, ...]:
    """The batches and heads that are spread over workgroups beside the queries: workgroups have three dimensions."""
    return tuple(n for n in space.names if n not in ("m", "n", "s", "e") and space.size(n) != 1)[:2]
