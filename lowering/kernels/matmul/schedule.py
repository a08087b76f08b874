"""The schedule of matmul and batch_matmul kernels."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.lowering.kernels.register_tile import best_tile
from terrace.lowering.kernels.schedule import IterationSpace, Layout, Padding, Schedule
from terrace.lowering.kernels.work_division import block_size, wanted_workgroups
from terrace.mlir import DYNAMIC
from terrace.target import CpuDescription

ASSUMED_SIZE = 128
"""What an unknown (`?`) size is taken for when tiles and blocks are chosen."""


def schedule_matmul(
    space: IterationSpace, transpose_rhs: bool, constant: Sequence[bool], cpu: CpuDescription
) -> Schedule:
    """Choose tile, blocks and the layout of rhs. `constant` says for each argument whether it is a weight."""
    size = {n: ASSUMED_SIZE if s == DYNAMIC else s for n, s in zip(space.names, space.sizes, strict=True)}
    static_n, static_k = space.size("n") != DYNAMIC, space.size("k") != DYNAMIC
    tile = best_tile(size["m"], size["n"], range(1, 15), cpu)
    work = size.get("b", 1) * size["m"] * size["n"] * size["k"]
    parts = wanted_workgroups(work, cpu.workers)
    blocks: dict[str, int] = {}
    if "b" in size:
        blocks["b"] = 1
        parts = -(-parts // size["b"])
    # Columns first: each workgroup then reads its own part of the weights, once.
    columns = block_size(size["n"], tile.columns, parts)
    column_blocks = -(-size["n"] // columns) if columns else 1
    rows = block_size(size["m"], tile.rows, -(-parts // column_blocks))
    blocks |= {name: block for name, block in (("n", columns), ("m", rows)) if block}
    layouts: list[Layout | Padding | None] = [None] * len(constant)
    staged: tuple[str, ...] = ()
    if constant[1] and "b" not in size and static_n and static_k:
        n_axis = 0 if transpose_rhs else 1
        layouts[1] = Layout((n_axis, 1 - n_axis), (n_axis,), (tile.columns,))
    elif transpose_rhs and static_k:
        # Columns of rhs lie apart in memory: gather them once for all rows.
        limit = cpu.local_bytes // (4 * size["k"]) // tile.columns * tile.columns
        if limit:
            wanted = blocks.get("n", 0) or (size["n"] if static_n else limit)
            blocks["n"] = min(limit, _round_up(wanted, tile.columns))
            staged = ("rhs",)
    parallel = tuple(name for name in ("b", "m", "n") if blocks.get(name))
    tiles = {"m": tile.rows, "n": tile.columns, "k": 1}
    return Schedule(tiles, blocks, parallel, tuple(layouts), staged, ("n", "m"))


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
