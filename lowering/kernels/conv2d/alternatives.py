"""Other schedules of conv2d kernels that are worth measuring."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from terrace.lowering.kernels.alternatives import other_tiles, with_block
from terrace.lowering.kernels.conv2d.schedule import ASSUMED_SIZE
from terrace.lowering.kernels.conv2d.space import is_depthwise
from terrace.lowering.kernels.conv2d.variants import ranked_schedules
from terrace.lowering.kernels.register_tile import RegisterTile, ranked_tiles
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine

TALL = 8
"""The longest row of pixels for which tiles of two rows are tried."""

CUTTINGS = 3
"""So many further ways to cut the variants are tried."""

Direct = Callable[..., Schedule]
"""Gives the direct schedule with these `tiles`, and whether it `stages` what it may."""


def alternatives(kernel: KernelView, machine: VectorMachine, direct: Direct) -> Iterator[Schedule]:
    """All variants; other tiles; an image padded before; other blocks of rows."""
    best = direct()
    ranked = ranked_schedules(kernel, machine).values()
    yield from (schedules[0][1] for schedules in ranked)
    yield best
    cuttings = sorted((pair for schedules in ranked for pair in schedules[1:]), key=lambda pair: pair[0])
    yield from (schedule for _, schedule in cuttings[:CUTTINGS])
    tiles = list(_depthwise_tiles(best) if is_depthwise(kernel.space.known()) else _tiles(kernel, best, machine))
    yield from (direct(tiles=own) for own in tiles[:2])
    yield direct(stages=False)
    yield from _blocks(kernel, best)
    yield from (direct(tiles=own) for own in tiles[2:])


def _tiles(kernel: KernelView, best: Schedule, machine: VectorMachine) -> Iterator[dict[str, int]]:
    size = kernel.space.expected(ASSUMED_SIZE)
    for rows in (1, 2) if size["ow"] <= TALL and size["oh"] > 1 else (1,):
        ranked = ranked_tiles(size["ow"], size["oc"], range(1, 1 + 14 // rows), machine, stacked=rows)
        own = RegisterTile(best.tile("ow"), best.tile("oc"))
        for tile in other_tiles(ranked, own) if rows == best.tile("oh") else ranked[:2]:
            yield {"oh": rows, "ow": tile.rows, "oc": tile.columns, "kw": 1, "ic": 1}


def _depthwise_tiles(best: Schedule) -> Iterator[dict[str, int]]:
    """Fewer or more pixels at a time."""
    own = best.tile("ow")
    for width in dict.fromkeys([own // 2, own - 1, own + 1, own // 3, 2 * own]):
        if width >= 1:
            yield {"ow": width, "g": best.tile("g"), "kw": best.tile("kw")}


def _blocks(kernel: KernelView, best: Schedule) -> Iterator[Schedule]:
    """Half and twice as many rows in a block."""
    rows, tile = best.block("oh") or kernel.space.expected(ASSUMED_SIZE)["oh"], best.tile("oh")
    for block in (rows // 2, 2 * rows, rows // 4):
        whole = block // tile * tile
        if tile <= whole < kernel.space.expected(ASSUMED_SIZE)["oh"]:
            yield with_block(best, "oh", whole)
