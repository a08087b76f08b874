"""Why a kernel has its schedule: what the cost model compared, what it predicts, and which limit binds.

A pure function of the kernel's shape, its schedule and the description of the hardware, as the cost models are, whose
functions it calls. A schedule that no cost model chose, because somebody edited it, is said to be so.
"""

from __future__ import annotations

import math

from terrace.compiler.layer_figures import bytes_of, is_tensor
from terrace.lowering.kernels.conv2d.schedule import ASSUMED_SIZE as CONV2D_SIZE
from terrace.lowering.kernels.matmul.schedule import ASSUMED_SIZE as MATMUL_SIZE
from terrace.lowering.kernels.register_tile import (
    RegisterTile,
    cover_cycles,
    ranked_tiles,
    step_cycles,
    step_limit,
    vectors,
)
from terrace.lowering.kernels.schedule import IterationSpace, Layout, Schedule
from terrace.lowering.kernels.work_division import MINIMUM_WORK, WORKGROUPS_PER_WORKER
from terrace.lowering.target.cpu.schedule_kernels import Unscheduled, choose_schedule
from terrace.mlir import DYNAMIC
from terrace.target import CpuDescription

SHOWN = 5
"""Candidates that are listed."""

_FAMILIES = {
    "elementwise": "vectors along the last dimension, several in flight; memory is the limit, not arithmetic",
    "row_reduction": "several vectors along a row in flight, enough to hide the latency of an addition",
    "reduce": "several vectors in flight, enough to hide the latency of an addition",
    "pool2d": "several vectors of channels in flight; loads are the limit",
}


def reasons(kernel: Unscheduled, schedule: Schedule, cpu: CpuDescription) -> list[str]:
    """Lines of text about `schedule`, which the kernel has."""
    lines = [
        f"iteration space: {_space(kernel.space)}",
        f"hardware: vectors of {cpu.vector_bits} bits ({cpu.lanes} floats), {cpu.vector_registers} registers,"
        f" {cpu.fma_per_cycle} multiply-adds of latency {cpu.fma_latency} and {cpu.loads_per_cycle} loads a cycle,"
        f" {cpu.workers} worker{'s' if cpu.workers > 1 else ''}",
    ]
    if not _equal(choose_schedule(kernel, cpu), schedule, kernel.space):
        lines.append("note: this is not what the cost model chooses for this hardware: it was edited, or set by a pass")
    if _is_contraction(kernel):
        lines += _contraction(kernel, schedule, cpu)
    else:
        tile = ", ".join(f"{name}={size}" for name, size in schedule.tile_sizes.items() if size > 1) or "one element"
        what = _FAMILIES.get(kernel.generator, "chosen by rule, not by comparing candidates")
        if kernel.generator == "conv2d":
            what = "depthwise: as many pixels of one vector of channels as registers hold; loads are the limit"
        lines.append(f"tile: {tile} ({what})")
    lines.append(_memory(kernel))
    lines += _blocks(kernel.space, schedule, cpu)
    lines += _layouts(kernel, schedule, cpu)
    return lines


def _equal(a: Schedule, b: Schedule, space: IterationSpace) -> bool:
    """Whether both say the same; a tile of 1 and a block of 0 may be left out of a schedule."""
    sizes = all(a.tile(name) == b.tile(name) and a.block(name) == b.block(name) for name in space.names)
    rest = ("parallel", "layouts", "staged", "order")
    return sizes and all(getattr(a, name) == getattr(b, name) for name in rest)


def _space(space: IterationSpace) -> str:
    sizes = ("?" if size == DYNAMIC else str(size) for size in space.sizes)
    named = zip(space.names, sizes, space.kinds, strict=True)
    return ", ".join(f"{name}={size}{' (reduced)' if kind == 'reduction' else ''}" for name, size, kind in named)


def _is_contraction(kernel: Unscheduled) -> bool:
    """Whether a register tile was chosen among candidates: not for a depthwise convolution."""
    if kernel.generator == "conv2d":
        size = kernel.space.size
        return not (size("oc") == 1 and size("ic") == 1 and size("g") > 1)
    return kernel.generator == "matmul"


def _contraction(kernel: Unscheduled, schedule: Schedule, cpu: CpuDescription) -> list[str]:
    """The candidates for the register tile, the best first, and what the schedule's own costs."""
    assumed = CONV2D_SIZE if kernel.generator == "conv2d" else MATMUL_SIZE
    size = {n: assumed if s == DYNAMIC else s for n, s in zip(kernel.space.names, kernel.space.sizes, strict=True)}
    rows_name, columns_name = ("ow", "oc") if kernel.generator == "conv2d" else ("m", "n")
    stacked = schedule.tile("oh") if kernel.generator == "conv2d" else 1
    rows, columns = size[rows_name], size[columns_name]
    steps = math.prod(size.values()) // (rows * columns)
    own = RegisterTile(schedule.tile(rows_name), schedule.tile(columns_name))
    heights = range(1, 1 + 14 // stacked)
    ranked = ranked_tiles(rows, columns, heights, cpu, stacked)
    if own not in ranked:
        ranked.append(own)
    place = ranked.index(own)
    shown = ranked[:SHOWN] if place < SHOWN else [*ranked[: SHOWN - 1], own]

    def cycles(tile: RegisterTile) -> float:
        tall = RegisterTile(stacked * tile.rows, tile.columns)
        return cover_cycles(stacked * rows, columns, tall, cpu) / stacked * steps

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
    ideal = math.prod(size.values()) / (cpu.lanes * cpu.fma_per_cycle)
    for tile in shown:
        tall = stacked * tile.rows
        width = vectors(tile.columns, cpu)
        registers = tall * width + width + (0 if cpu.vector_bits == 512 else 1)
        mark = "*" if tile == own else " "
        total = cycles(tile)
        lines.append(
            f"  {mark} {f'{tile.rows} x {tile.columns}':<11}{registers:>8}"
            f"{step_cycles(tall, tile.columns, cpu):>13.1f}  {step_limit(tall, tile.columns, cpu):<13}"
            f"{total / 1e6:>9.3f}{ideal / total:>12.0%}"
        )
    depth = math.prod(size[n] for n, kind in zip(size, kernel.space.kinds, strict=True) if kind == "reduction")
    panel = 4 * depth * own.columns
    fits = f"fits L1 ({cpu.l1_bytes})" if panel <= cpu.l1_bytes else f"exceeds L1 ({cpu.l1_bytes})"
    if panel > cpu.l1_bytes:
        fits += f", fits L2 ({cpu.l2_bytes})" if panel <= cpu.l2_bytes else f" and L2 ({cpu.l2_bytes})"
    lines.append(f"  the columns that one tile reads of the right operand are {panel} bytes: {fits}")
    if place == 0 and len(ranked) > 1:
        extra = cycles(ranked[1]) / cycles(own) - 1
        more = f"{extra:.1%} more" if extra > 0 else "the same; of equals the larger tile is taken"
        lines.append(f"  the runner-up costs {more}")
    return lines


def _memory(kernel: Unscheduled) -> str:
    """Bytes of the arguments and results, each once, and what arithmetic stands against them."""
    entry = kernel.function.entry_block
    returned = list(entry.operations)[-1].operation.operands
    sizes = [bytes_of(value) for value in [*entry.arguments, *returned] if is_tensor(value)]
    if None in sizes or DYNAMIC in kernel.space.sizes:
        return "memory: depends on a dynamic size"
    moved = sum(size for size in sizes if size is not None)
    steps = math.prod(kernel.space.sizes)
    if kernel.generator not in ("matmul", "conv2d"):
        return f"memory: {moved} bytes read and written, for {steps} points of the iteration space"
    return f"memory: {moved} bytes read and written, {2 * steps / max(moved, 1):.1f} floating-point operations per byte"


def _blocks(space: IterationSpace, schedule: Schedule, cpu: CpuDescription) -> list[str]:
    if not schedule.parallel:
        why = "there is one worker" if cpu.workers == 1 else f"less than {MINIMUM_WORK} operations for each of two"
        return [f"workgroups: 1, as {why}"]
    counts = {
        name: "?" if space.size(name) == DYNAMIC else str(-(-space.size(name) // schedule.block(name)))
        for name in schedule.parallel
    }
    known = "?" not in counts.values()
    total = str(math.prod(int(count) for count in counts.values())) if known else "?"
    parts = ", ".join(f"{n} blocks of {schedule.block(name)} along {name}" for name, n in counts.items() if n != "1")
    return [
        f"workgroups: {total} ({parts or 'no dimension is cut'}); up to {WORKGROUPS_PER_WORKER} per worker are wanted,"
        f" each of {MINIMUM_WORK} operations or more"
    ]


def _layouts(kernel: Unscheduled, schedule: Schedule, cpu: CpuDescription) -> list[str]:
    lines = []
    for number, layout in enumerate(schedule.layouts):
        if layout is None:
            continue
        if isinstance(layout, Layout):
            blocks = " x ".join(map(str, layout.inner_tiles))
            when = "once, when the model is compiled" if kernel.constant[number] else "at every call"
            lines.append(
                f"argument {number}: packed in blocks of {blocks}, so that a tile reads consecutive memory ({when})"
            )
        else:
            lines.append(f"argument {number}: padded by a copy, as its rows do not fit local memory")
    for name in schedule.staged:
        lines.append(f"{name}: copied into local memory by each workgroup ({cpu.local_bytes} bytes at most)")
    if schedule.order:
        lines.append(f"loops over tiles, outermost first: {', '.join(schedule.order)}")
    return lines
