"""What `terrace-explain` says of the tile that a contraction keeps in registers: the candidates and their costs."""

from __future__ import annotations

import math

from terrace.lowering.kernels.register_tile import (
    RegisterTile,
    cover_cycles,
    ranked_tiles,
    step_cycles,
    step_limit,
    vectors,
)
from terrace.lowering.kernels.view import KernelView
from terrace.machine import Machine, VectorMachine
from terrace.mlir import DYNAMIC

SHOWN = 5
"""Candidates that are listed."""


def explain_register_tile(
    kernel: KernelView, machine: Machine, names: tuple[str, str], assumed: int, stacked_dim: str | None = None
) -> list[str]:
    """The candidates for the tile of the dimensions `names`, the best first, and what the schedule's own costs.

    Unknown sizes are taken for `assumed`; a tile may take several rows along `stacked_dim`.
    """
    assert isinstance(machine, VectorMachine), "other machines compare no candidates"
    schedule = kernel.schedule
    size = kernel.space.expected(assumed)
    rows_name, columns_name = names
    stacked = schedule.tile(stacked_dim) if stacked_dim else 1
    rows, columns = size[rows_name], size[columns_name]
    steps = math.prod(size.values()) // (rows * columns)
    own = RegisterTile(schedule.tile(rows_name), schedule.tile(columns_name))
    heights = range(1, 1 + 14 // stacked)
    ranked = ranked_tiles(rows, columns, heights, machine, stacked)
    if own not in ranked:
        ranked.append(own)
    place = ranked.index(own)
    shown = ranked[:SHOWN] if place < SHOWN else [*ranked[: SHOWN - 1], own]

    def cycles(tile: RegisterTile) -> float:
        tall = RegisterTile(stacked * tile.rows, tile.columns)
        return cover_cycles(stacked * rows, columns, tall, machine) / stacked * steps

    lines = []
    if DYNAMIC in kernel.space.sizes:
        lines.append(f"sizes that are not known are taken for {assumed}")
    if stacked > 1:
        lines.append(f"rows of the image are short: a tile takes pixels of {stacked} of them")
    lines.append(
        f"tile: {own.rows} x {own.columns} ({rows_name} x {columns_name}), number {place + 1} of the {len(ranked)}"
        " candidates that fit the registers; predicted for the whole, on one core:"
    )
    lines.append("    tile       registers  cycles/step  bound by       Mcycles  of FMA peak")
    ideal = math.prod(size.values()) / (machine.lanes * machine.fma_per_cycle)
    for tile in shown:
        tall = stacked * tile.rows
        width = vectors(tile.columns, machine)
        registers = tall * width + width + (0 if machine.vector_bits == 512 else 1)
        mark = "*" if tile == own else " "
        total = cycles(tile)
        lines.append(
            f"  {mark} {f'{tile.rows} x {tile.columns}':<11}{registers:>8}"
            f"{step_cycles(tall, tile.columns, machine):>13.1f}  {step_limit(tall, tile.columns, machine):<13}"
            f"{total / 1e6:>9.3f}{ideal / total:>12.0%}"
        )
    depth = math.prod(size[n] for n, kind in zip(size, kernel.space.kinds, strict=True) if kind == "reduction")
    panel = kernel.operand_types[1].bytes * depth * own.columns
    fits = f"fits L1 ({machine.l1_bytes})" if panel <= machine.l1_bytes else f"exceeds L1 ({machine.l1_bytes})"
    if panel > machine.l1_bytes:
        fits += f", fits L2 ({machine.l2_bytes})" if panel <= machine.l2_bytes else f" and L2 ({machine.l2_bytes})"
    lines.append(f"  the columns that one tile reads of the right operand are {panel} bytes: {fits}")
    if place == 0 and len(ranked) > 1:
        extra = cycles(ranked[1]) / cycles(own) - 1
        more = (
            f"{extra:.1%} more"
            if extra > 0
            else "the same; of equals the tile with the fewest tails is taken, then the larger"
        )
        lines.append(f"  the runner-up costs {more}")
    return lines
