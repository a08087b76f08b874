"""What the alternatives of several families are made of: other tiles, other blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.lowering.kernels.register_tile import RegisterTile
from terrace.lowering.kernels.schedule import Schedule

TILES = 5
"""So many other tiles of a contraction are worth a try: the cost model's error is a few tiles wide."""

UNROLLS = (2, 8, 1, 16)
"""How many vectors are tried where four are usual."""


def other_tiles(ranked: Sequence[RegisterTile], own: RegisterTile, most: int = TILES) -> list[RegisterTile]:
    """Of ranked tiles some others than one's own, in their order: the best of each width, then the best of all."""
    of_width: dict[int, RegisterTile] = {}
    for tile in ranked:
        if tile != own:
            of_width.setdefault(tile.columns, tile)
    wanted = list(dict.fromkeys([*of_width.values(), *(tile for tile in ranked if tile != own)]))[:most]
    return sorted(wanted, key=ranked.index)


def with_block(schedule: Schedule, name: str, block: int, parallel: bool = True) -> Schedule:
    """The schedule with another block of a dimension, whose blocks are spread over workers or follow each other."""
    cut = schedule.cut("local")
    spread = (*cut.parallel, *[name] * (parallel and name not in cut.parallel))
    new = dataclasses.replace(cut, sizes={**cut.sizes, name: block}, parallel=spread)
    if cut in schedule.cuts:
        return schedule.with_cut(new)
    place = next((i for i, own in enumerate(schedule.cuts) if own.memory == "register"), len(schedule.cuts))
    return dataclasses.replace(schedule, cuts=(*schedule.cuts[:place], new, *schedule.cuts[place:]))


def with_tile(schedule: Schedule, name: str, size: int) -> Schedule:
    """The schedule with another tile of a dimension that registers hold."""
    cut = schedule.cut("register")
    return schedule.with_cut(dataclasses.replace(cut, sizes={**cut.sizes, name: size}))
