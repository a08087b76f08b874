"""The cost model of a contraction held in registers, shared by matmul and conv2d. Pure functions of sizes and hardware.

A tile of rows x columns costs, per step of the reduction, the larger of its fused multiply-adds and its loads, and at
least the latency of one accumulation (too few accumulators leave the units idle). Units: cycles of one core.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from terrace.element_types import ELEMENT_TYPES, F32
from terrace.machine import VectorMachine
from terrace.mlir import ir


@dataclasses.dataclass(frozen=True)
class RegisterTile:
    """Rows and columns (in elements) of the tile that stays in registers."""

    rows: int
    columns: int


def register_machine(accumulator: ir.Type, machine: VectorMachine) -> VectorMachine:
    """The machine whose registers hold as many floats as this one's hold of the accumulator's type."""
    bits = ELEMENT_TYPES[str(accumulator)].bits
    return dataclasses.replace(machine, vector_bits=machine.vector_bits * F32.bits // max(bits, F32.bits))


def vectors(columns: int, machine: VectorMachine) -> int:
    """Vector registers that a row of `columns` elements takes."""
    return -(-columns // machine.lanes)


def fits_registers(tile: RegisterTile, machine: VectorMachine) -> bool:
    """Whether accumulators, one row of rhs and a broadcast of lhs fit, which 512-bit multiply-adds do themselves.

    One register stays free: code that fills all of them is up to 8 % slower with 32 (7 x 64), and up to 56 % with 16
    (4 x 24 against 6 x 16).
    """
    width = vectors(tile.columns, machine)
    broadcast = 0 if machine.vector_bits == 512 else 1
    return tile.rows * width + width + broadcast < machine.vector_registers


def step_cycles(rows: int, columns: int, machine: VectorMachine) -> float:
    """Cycles of one reduction step of a tile."""
    width = vectors(columns, machine)
    multiply_adds = rows * width / machine.fma_per_cycle
    loads = (rows + width) / machine.loads_per_cycle
    return max(multiply_adds, loads, float(machine.fma_latency))


def step_limit(rows: int, columns: int, machine: VectorMachine) -> str:
    """What `step_cycles` is bound by; of equals the first of multiply-adds, loads, latency."""
    width = vectors(columns, machine)
    limits = {
        "multiply-adds": rows * width / machine.fma_per_cycle,
        "loads": (rows + width) / machine.loads_per_cycle,
        "latency": float(machine.fma_latency),
    }
    return max(limits, key=limits.__getitem__)


def cover_cycles(rows: int, columns: int, tile: RegisterTile, machine: VectorMachine) -> float:
    """Cycles of one reduction step of all tiles, tails included, that cover rows x columns."""
    total = 0.0
    for row_count, height in cuts(rows, tile.rows):
        for column_count, width in cuts(columns, tile.columns):
            total += row_count * column_count * step_cycles(height, width, machine)
    return total


def shapes(rows: int, columns: int, tile: RegisterTile) -> int:
    """How many shapes of tiles cover rows x columns, tails included: each has loops of its own."""
    return len(cuts(rows, tile.rows)) * len(cuts(columns, tile.columns))


def cuts(size: int, tile: int) -> list[tuple[int, int]]:
    """(how many, of what size): the full tiles and the tail."""
    return [(count, part) for count, part in ((size // tile, tile), (1, size % tile)) if count and part]


def candidates(rows: Iterable[int], machine: VectorMachine) -> list[RegisterTile]:
    """All tiles of these heights, of 1 to 4 vectors, that fit the registers."""
    tiles = [RegisterTile(r, width * machine.lanes) for r in rows for width in (1, 2, 3, 4)]
    return [tile for tile in tiles if fits_registers(tile, machine)]


def best_tile(
    rows: int, columns: int, heights: Iterable[int], machine: VectorMachine, stacked: int = 1
) -> RegisterTile:
    """The candidate that covers rows x columns in the fewest cycles. None exceeds the whole.

    Of equals it is one with slack for the latency, then the one with the fewest shapes of tiles, then the largest.

    Registers hold `stacked` such tiles at once.
    """
    return ranked_tiles(rows, columns, heights, machine, stacked)[0]


def ranked_tiles(
    rows: int, columns: int, heights: Iterable[int], machine: VectorMachine, stacked: int = 1
) -> list[RegisterTile]:
    """All candidates for rows x columns, the best first: `best_tile` says by what."""
    widest = vectors(columns, machine) * machine.lanes
    fitting = [
        tile
        for tile in candidates(heights, machine)
        if tile.rows <= max(rows, 1)
        and tile.columns <= widest
        and fits_registers(RegisterTile(stacked * tile.rows, tile.columns), machine)
    ]

    def rank(tile: RegisterTile) -> tuple[float, bool, int, int, int]:
        cycles, tall = cover_cycles(rows, columns, tile, machine), stacked * tile.rows
        # Whose multiply-adds take just as long as the latency of one waits for each that is late.
        has_slack = tall * vectors(tile.columns, machine) > machine.fma_per_cycle * machine.fma_latency
        return cycles, not has_slack, shapes(rows, columns, tile), -tile.rows * tile.columns, tile.columns

    return sorted(fitting, key=rank)
