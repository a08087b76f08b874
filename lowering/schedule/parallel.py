"""How work is divided among workgroups. Pure functions of sizes and hardware."""

from __future__ import annotations

WORKGROUPS_PER_WORKER = 4
"""More workgroups than workers, so that a worker that is late costs a part of its share only."""

MINIMUM_WORK = 1 << 18
"""Multiply-adds (or bytes, for elementwise) below which a workgroup is not worth its dispatch."""


def wanted_workgroups(work: int, workers: int) -> int:
    """How many workgroups to cut `work` into; 1 on one worker."""
    if workers == 1:
        return 1
    return max(1, min(WORKGROUPS_PER_WORKER * workers, work // MINIMUM_WORK))


def block_size(size: int, tile: int, parts: int) -> int:
    """The multiple of `tile` that cuts `size` into about `parts` blocks; 0, meaning all, for one part."""
    tiles = -(-size // tile)
    if parts <= 1 or tiles <= 1:
        return 0
    return -(-tiles // min(parts, tiles)) * tile
