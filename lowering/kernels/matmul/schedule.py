"""The schedule of matmul and batch_matmul kernels."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.element_types import ElementType
from terrace.lowering.kernels.circuit_tile import COLUMNS, DEPTH, divisor
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.register_tile import best_tile
from terrace.lowering.kernels.schedule import Layout, Schedule
from terrace.lowering.kernels.work_division import block_size, wanted_workgroups
from terrace.lowering.kernels.workgroup_tile import ACCUMULATORS, block_of_tiles, power_of_two
from terrace.machine import VectorMachine, WorkgroupMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
"""What an unknown (`?`) size is taken for when tiles and blocks are chosen."""

STAGED_DEPTH = 16
"""The block of k that a workgroup keeps in local memory."""


def schedule_for_vectors(
    space: IterationSpace, transpose_rhs: bool, constant: Sequence[bool], operand: ElementType, machine: VectorMachine
) -> Schedule:
    """Choose tile, blocks and the layout of rhs. `constant` says for each argument whether it is a weight."""
    size = _known(space)
    static_n, static_k = space.size("n") != DYNAMIC, space.size("k") != DYNAMIC
    tile = best_tile(size["m"], size["n"], range(1, 15), machine)
    work = size.get("b", 1) * size["m"] * size["n"] * size["k"]
    parts = wanted_workgroups(work, machine.workers)
    blocks: dict[str, int] = {}
    if "b" in size:
        blocks["b"] = 1
        parts = -(-parts // size["b"])
    # Columns first: each workgroup then reads its own part of the weights, once.
    columns = block_size(size["n"], tile.columns, parts)
    column_blocks = -(-size["n"] // columns) if columns else 1
    rows = block_size(size["m"], tile.rows, -(-parts // column_blocks))
    blocks |= {name: block for name, block in (("n", columns), ("m", rows)) if block}
    layouts = _layouts(space, transpose_rhs, constant, tile.columns)
    staged: tuple[str, ...] = ()
    if layouts[1] is None and transpose_rhs and static_k:
        # Columns of rhs lie apart in memory: gather them once for all rows.
        limit = machine.local_bytes // (operand.held.bytes * size["k"]) // tile.columns * tile.columns
        if limit:
            wanted = blocks.get("n", 0) or (size["n"] if static_n else limit)
            blocks["n"] = min(limit, _round_up(wanted, tile.columns))
            staged = ("rhs",)
    parallel = tuple(name for name in ("b", "m", "n") if blocks.get(name))
    tiles = {"m": tile.rows, "n": tile.columns, "k": 1}
    return Schedule(tiles, blocks, parallel, layouts, staged, ("n", "m"))


def schedule_for_workgroups(
    space: IterationSpace,
    transpose_rhs: bool,
    constant: Sequence[bool],
    operand: ElementType,
    machine: WorkgroupMachine,
) -> Schedule:
    """A tile of the result per workgroup; blocks of both operands along k pass through local memory."""
    size = _known(space)
    area = ACCUMULATORS * machine.workgroup_size
    rows = min(power_of_two(size["m"]), 1 << (area.bit_length() - 1) // 2)
    # Of a few rows a tile is narrow: the weights are what is read, by as many workgroups as there can be.
    columns = min(power_of_two(size["n"]), area // rows, machine.workgroup_size)
    depth = STAGED_DEPTH
    while depth > 1 and operand.held.bytes * depth * (rows + columns) > machine.local_bytes:
        depth //= 2
    blocks = {"m": rows, "n": columns, "k": depth}
    blocks |= {"b": block_of_tiles(1, space.size("b"))} if "b" in size else {}
    parallel = tuple(name for name in ("b", "m", "n") if name in blocks)
    tiles = {"m": rows, "n": columns, "k": 1}
    layouts = _layouts(space, transpose_rhs, constant, columns)
    return Schedule(tiles, blocks, parallel, layouts, ("lhs", "rhs"), ("n", "m"))


def schedule_for_circuit(space: IterationSpace, arguments: int) -> Schedule:
    """One row by some columns."""
    tiles = {"m": 1, "n": divisor(space.size("n"), COLUMNS), "k": divisor(space.size("k"), DEPTH)}
    return Schedule(tiles, {}, (), (None,) * arguments, (), ("m", "n"))


def _known(space: IterationSpace) -> dict[str, int]:
    return {n: ASSUMED_SIZE if s == DYNAMIC else s for n, s in zip(space.names, space.sizes, strict=True)}


def _layouts(
    space: IterationSpace, transpose_rhs: bool, constant: Sequence[bool], columns: int
) -> tuple[Layout | None, ...]:
    """Weights in blocks of as many columns as a tile has."""
    layouts: list[Layout | None] = [None] * len(constant)
    if constant[1] and "b" not in space.names and DYNAMIC not in (space.size("n"), space.size("k")):
        n_axis = 0 if transpose_rhs else 1
        layouts[1] = Layout((n_axis, 1 - n_axis), (n_axis,), (columns,))
    return tuple(layouts)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
