"""How work is divided: among workgroups, and sums into parts. Pure functions of sizes and hardware."""

from __future__ import annotations

from collections.abc import Mapping

from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC

WORKGROUPS_PER_WORKER = 4
"""More workgroups than workers, so that a worker that is late costs a part of its share only."""

MINIMUM_CYCLES = 60_000
"""Cycles below which a workgroup is not worth waking a worker: 20 µs at 3 GHz."""

BYTES_PER_CYCLE = 32
"""About what a core reads and writes from its caches in a cycle."""

MAX_PARALLEL = 3
"""Dimensions that workgroups are numbered by."""

SUM_STEPS = 16
"""How many terms are added up before their sum joins the whole one: so few that rounding loses a digit or less."""


def multiply_add_cycles(count: int, machine: VectorMachine, speed: float = 1.0) -> float:
    """Of so many multiply-adds on one core. `speed` is that of the step that multiplies, beside one of float32."""
    return count / (machine.lanes * machine.fma_per_cycle * speed)


def wanted_workgroups(cycles: float, workers: int) -> int:
    """How many workgroups to cut work into that takes so many cycles of one core; 1 on one worker.

    Each worker has as many as another, if it has any.
    """
    if workers == 1:
        return 1
    count = max(1, min(WORKGROUPS_PER_WORKER * workers, int(cycles / MINIMUM_CYCLES)))
    return count if count < workers else count // workers * workers


def round_up(size: int, multiple: int) -> int:
    """The next multiple."""
    return -(-size // multiple) * multiple


def block_size(size: int, tile: int, parts: int) -> int:
    """The multiple of `tile` that cuts `size` into about `parts` blocks; 0, meaning all, for one part."""
    tiles = -(-size // tile)
    if parts <= 1 or tiles <= 1:
        return 0
    return -(-tiles // min(parts, tiles)) * tile


def parallel_blocks(sizes: Mapping[str, int], tiles: Mapping[str, int], parts: int) -> dict[str, int]:
    """Blocks, multiples of the tiles, of the outermost dimensions, until there are about so many."""
    blocks: dict[str, int] = {}
    for name, size in sizes.items():
        block = block_size(size, tiles.get(name, 1), parts)
        if block:
            blocks[name] = block
            parts = parts * block // size
        if parts <= 1 or len(blocks) == MAX_PARALLEL:
            break
    return blocks


def sum_block(size: int, step: int, inner: int = 1) -> int:
    """How many of `size` elements to add up at a time, in steps of so many; 0 if all. Each adds `inner` terms."""
    block = max(1, SUM_STEPS // inner) * step
    return block if size == DYNAMIC or size > block else 0
