"""Why a kernel has its schedule: what the cost model compared, what it predicts, and which limit binds.

A pure function of the kernel's shape, its schedule and the description of the hardware, as the cost models are, whose
functions it calls. A schedule that no cost model chose, because somebody edited it, is said to be so.
"""

from __future__ import annotations

import math

from terrace.compiler.layer_figures import bytes_of, is_tensor
from terrace.dialects.graph_macs import macs_of
from terrace.lowering.kernels.choose_schedules import choose_schedule
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.packing import Pack, PackRows, Terms, Transform
from terrace.lowering.kernels.read_kernel import family_of_kernel
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView
from terrace.lowering.kernels.work_division import MINIMUM_CYCLES, WORKGROUPS_PER_WORKER
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC


def reasons(kernel: KernelView, machine: VectorMachine) -> list[str]:
    """Lines of text about the schedule that the kernel has."""
    schedule = kernel.schedule
    lines = [
        f"iteration space: {_space(kernel.space)}",
        f"hardware: vectors of {machine.vector_bits} bits ({machine.lanes} floats),"
        f" {machine.vector_registers} registers; a cycle: {_counted(machine.fma_per_cycle, 'multiply-add')}"
        f" of latency {machine.fma_latency} and {_counted(machine.loads_per_cycle, 'load')};"
        f" {_counted(machine.workers, 'worker')}",
    ]
    if schedule not in [choose_schedule(kernel, machine, rounding) for rounding in (True, False)]:
        lines.append(
            "note: this is not what the cost model chooses for this hardware: it was tuned, edited, set by a pass, or"
            " it reads a weight as another kernel has it"
        )
    lines += family_of_kernel(kernel.function).explain_tile(kernel, machine)
    lines.append(_memory(kernel))
    lines += _blocks(kernel.space, schedule, machine)
    lines += _layouts(kernel, schedule, machine)
    return lines


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count > 1 else ''}"


def _space(space: IterationSpace) -> str:
    sizes = ("?" if size == DYNAMIC else str(size) for size in space.sizes)
    named = zip(space.names, sizes, space.kinds, strict=True)
    return ", ".join(f"{name}={size}{' (reduced)' if kind == 'reduction' else ''}" for name, size, kind in named)


def _memory(kernel: KernelView) -> str:
    """Bytes of the arguments and results, each once, and what arithmetic stands against them."""
    entry = kernel.function.entry_block
    returned = list(entry.operations)[-1].operation.operands
    sizes = [bytes_of(value) for value in [*entry.arguments, *returned] if is_tensor(value)]
    if None in sizes or DYNAMIC in kernel.space.sizes:
        return "memory: depends on a dynamic size"
    moved = sum(size for size in sizes if size is not None)
    macs = sum(macs_of(op) for op in kernel.operations)
    if not macs:
        steps = math.prod(kernel.space.sizes)
        return f"memory: {moved} bytes read and written, for {steps} points of the iteration space"
    return f"memory: {moved} bytes read and written, {2 * macs / max(moved, 1):.1f} floating-point operations per byte"


def _blocks(space: IterationSpace, schedule: Schedule, machine: VectorMachine) -> list[str]:
    parallel = schedule.cut("local").parallel
    if not parallel:
        why = "there is one worker" if machine.workers == 1 else f"less than {MINIMUM_CYCLES} cycles for each of two"
        return [f"workgroups: 1, as {why}"]
    counts = {
        name: "?" if space.size(name) == DYNAMIC else str(-(-space.size(name) // schedule.block(name)))
        for name in parallel
    }
    known = "?" not in counts.values()
    total = str(math.prod(int(count) for count in counts.values())) if known else "?"
    parts = ", ".join(f"{n} blocks of {schedule.block(name)} along {name}" for name, n in counts.items() if n != "1")
    return [
        f"workgroups: {total} ({parts or 'no dimension is cut'}); up to {WORKGROUPS_PER_WORKER} per worker are wanted,"
        f" each of {MINIMUM_CYCLES} cycles or more"
    ]


def _layouts(kernel: KernelView, schedule: Schedule, machine: VectorMachine) -> list[str]:
    lines = []
    for name, packing in schedule.packed.items():
        if isinstance(packing, (Pack, PackRows, Transform)):
            blocks = " x ".join(map(str, packing.inner_tiles))
            constant = kernel.constant[kernel.operands.index(name)]
            when = "once, when the model is compiled" if constant else "at every call"
            how = f"transformed for {schedule.variant}" if isinstance(packing, Transform) else "packed"
            lines.append(f"{name}: {how} in blocks of {blocks}, so that a tile reads consecutive memory ({when})")
        else:
            lines.append(f"{name}: padded by a copy, as its rows do not fit local memory")
    for name in schedule.staged:
        transforms = any(isinstance(packing, Transform) for packing in schedule.packed.values())
        how, limit = ("transformed", machine.local_bytes) if transforms else ("copied", machine.near_bytes)
        if isinstance(schedule.cut("local").enters[name], Pack):
            how = f"packed for {schedule.atom}"
        lines.append(f"{name}: {how} into local memory by each workgroup ({limit} bytes at most)")
    for name, part in schedule.cut("local").leaves.items():
        if isinstance(part, Terms):
            lines.append(f"{name}: its terms stay in local memory, so that each is computed once")
            continue
        block = schedule.block("k")
        lines.append(f"{name}: summed up in local memory, {block} along k at a time, as longer columns do not fit it")
    order = schedule.cut("register").sizes
    if order:
        lines.append(f"loops over tiles, outermost first: {', '.join(order)}")
    return lines
