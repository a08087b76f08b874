"""The schedule of softmax and norms along rows."""

from __future__ import annotations

from collections.abc import Iterator

from terrace.element_types import F32
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.packing import Terms
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import block_size, sum_block, wanted_workgroups
from terrace.lowering.kernels.workgroup_tile import ELEMENTS, block_of_tiles
from terrace.machine import VectorMachine, WorkgroupMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
UNROLL = 4
"""Vectors along a row that are in flight together: enough to hide the latency of an addition."""

IN_FLIGHT = 8
"""Vectors of several rows together: enough to hide the latency of what reduces a vector to a number."""

SHORT = 32
"""Vectors of a row so long that this latency is a small part of its time."""

CYCLES = 1
"""Of a core per element of a softmax, about."""


def schedule_for_vectors(
    space: IterationSpace,
    machine: VectorMachine,
    keeps_terms: bool,
    unroll: int = UNROLL,
    in_flight: int = IN_FLIGHT,
) -> Schedule:
    """Several vectors along a row, long ones in parts, short ones side by side; blocks of rows for the workgroups."""
    if "l" in space.names:
        return _schedule_of_lines(space, machine, keeps_terms, unroll)
    rows, columns = (ASSUMED_SIZE if size == DYNAMIC else size for size in space.sizes)
    length = space.size("n")
    tile = machine.lanes if length == DYNAMIC else min(columns, unroll * machine.lanes)
    is_short = length != DYNAMIC and columns <= SHORT * machine.lanes
    side_by_side = _rows_together(space.size("m"), in_flight * machine.lanes // tile) if is_short else 1
    block = block_size(rows, side_by_side, wanted_workgroups(CYCLES * rows * columns, machine.workers))
    blocks = {"m": block} if block else {}
    kept = keeps_terms and length != DYNAMIC and side_by_side * columns * F32.bytes <= machine.near_bytes
    return Schedule.of(
        {"m": side_by_side, "n": tile},
        blocks | {"n": sum_block(length, tile)},
        tuple(blocks),
        leaves={"result": Terms()} if kept else None,
    )


def _schedule_of_lines(space: IterationSpace, machine: VectorMachine, keeps_terms: bool, unroll: int) -> Schedule:
    """Several vectors across lines; those of an outer dimension side by side where few fill no vectors."""
    outer, length, inner = (ASSUMED_SIZE if size == DYNAMIC else size for size in space.sizes)
    width = machine.lanes if space.size("l") == DYNAMIC else min(inner, unroll * machine.lanes)
    side_by_side = _rows_together(space.size("m"), max(1, unroll // -(-width // machine.lanes)))
    kept = keeps_terms and space.size("n") != DYNAMIC
    while kept and side_by_side * length * width * F32.bytes > machine.near_bytes and width > machine.lanes:
        width = max(machine.lanes, width // 2)
    kept = kept and side_by_side * length * width * F32.bytes <= machine.near_bytes
    parts = wanted_workgroups(CYCLES * outer * length * inner, machine.workers)
    blocks = {"m": block_size(outer, side_by_side, parts)}
    if parts > 1 and outer < parts * side_by_side:
        blocks["l"] = block_size(inner, width, -(-parts * side_by_side // outer))
    blocks = {name: block for name, block in blocks.items() if block}
    return Schedule.of(
        {"m": side_by_side, "l": width},
        blocks | {"n": sum_block(space.size("n"), 1)},
        tuple(blocks),
        staged=("input",) if kept else (),
        leaves={"result": Terms()} if kept else None,
    )


def alternatives(space: IterationSpace, machine: VectorMachine, keeps_terms: bool) -> Iterator[Schedule]:
    """More or fewer vectors in flight, along a row and of several rows; terms that are computed again."""
    for unroll, in_flight in ((4, 16), (8, 8), (2, 8), (8, 16), (4, 4), (1, 8), (2, 4)):
        yield schedule_for_vectors(space, machine, keeps_terms, unroll, in_flight)
    if keeps_terms:
        yield schedule_for_vectors(space, machine, keeps_terms=False)


def _rows_together(rows: int, most: int) -> int:
    """How many rows are worked on side by side, at most so many; with no rest, if there is such a number."""
    if rows == DYNAMIC:
        return 1
    most = min(most, rows)
    return next((count for count in range(most, 1, -1) if rows % count == 0), max(1, most))


def schedule_for_workgroups(space: IterationSpace, machine: WorkgroupMachine) -> Schedule:
    """A workgroup per row, whose elements its invocations share; or per tile across lines."""
    if "l" in space.names:
        inner = space.size("l")
        tile = machine.workgroup_size if inner == DYNAMIC else max(1, min(inner, machine.workgroup_size))
        tiled = {"m": block_of_tiles(1, space.size("m")), "l": block_of_tiles(tile, inner)}
        return Schedule.of({"l": tile}, tiled | {"n": sum_block(space.size("n"), 1)}, tuple(tiled))
    rows, columns = space.sizes
    limit = ELEMENTS * machine.workgroup_size
    tile = machine.workgroup_size if columns == DYNAMIC else max(1, min(columns, limit))
    blocks = {"m": block_of_tiles(1, rows), "n": sum_block(columns, tile)}
    return Schedule.of({"n": tile}, blocks, ("m",))
