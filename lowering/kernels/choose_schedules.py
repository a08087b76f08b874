"""Choosing schedules: what the `schedule-kernels` passes of all targets share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from terrace.dialects.base import attributes_of
from terrace.dialects.graph_macs import macs_of
from terrace.lowering.kernels.read_kernel import calls_of, family_of_kernel, read_kernel
from terrace.lowering.kernels.schedule import DIRECT, Schedule
from terrace.lowering.kernels.shared_packings import share_packings
from terrace.lowering.kernels.view import KernelView, is_kernel, schedule_op
from terrace.lowering.kernels.work_division import BYTES_PER_CYCLE, multiply_add_cycles
from terrace.lowering.kernels.workgroups import balanced
from terrace.machine import Machine, VectorMachine
from terrace.mlir import ir
from terrace.passes import fail


def choose_schedule(kernel: KernelView, machine: Machine, rounding: bool = True) -> Schedule:
    """What the cost model of the kernel's family chooses; `rounding` says whether those that round more are allowed.

    Refuses a kernel whose family has none for such machines.
    """
    family = family_of_kernel(kernel.function)
    for kind, choose in family.schedules.items():
        if isinstance(machine, kind):
            direct = _balanced(kernel, choose(kernel, machine), machine)
            choose_variant = family.variant_schedules.get(kind)
            return choose_variant(kernel, direct, machine, rounding) if choose_variant else direct
    raise fail(schedule_op(kernel.function), f"has no cost model for generator '{kernel.generator}'")


def alternatives(kernel: KernelView, chosen: Schedule, machine: Machine, rounding: bool = True) -> Iterator[Schedule]:
    """Other schedules than the chosen one that are worth measuring, the most promising first; see `KernelFamily`."""
    found = [chosen]
    family = family_of_kernel(kernel.function)
    for kind, propose in family.alternatives.items():
        if isinstance(machine, kind):
            for proposed in propose(kernel, chosen, machine):
                other = _balanced(kernel, proposed, machine) if proposed.variant == DIRECT else proposed
                if other not in found and (rounding or other.variant not in family.rounding_variants):
                    found.append(other)
                    yield other


def _balanced(kernel: KernelView, schedule: Schedule, machine: Machine) -> Schedule:
    """A direct schedule whose workgroups occupy the workers of a machine evenly, if it has several."""
    if not isinstance(machine, VectorMachine):
        return schedule
    return balanced(kernel.space, schedule, cycles_of(kernel, schedule, machine), machine.workers)


def cycles_of(kernel: KernelView, schedule: Schedule, machine: VectorMachine) -> float:
    """Of a core, for the multiply-adds of a kernel, or else for a float read and one written at each point."""
    macs = sum(macs_of(op) for op in kernel.operations)
    if macs:
        return multiply_add_cycles(macs, machine, machine.speed_of(schedule.atom))
    return 8 * math.prod(kernel.space.sizes) / BYTES_PER_CYCLE


def schedule_kernels(
    module: ir.Operation,
    machine: Machine,
    rounding: bool = True,
    choose: Callable[[Mapping[str, KernelView]], dict[str, Schedule]] | None = None,
) -> None:
    """Write a schedule for a machine into every kernel that has none; see `choose_schedule` and `share_packings`.

    `choose` chooses for all of them together, by name, instead of for one after the other.
    """
    calls = calls_of(module)
    functions = [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]
    unscheduled = [function for function in functions if not attributes_of(schedule_op(function)).schedule]
    kernels = {function.name.value: read_kernel(function, calls) for function in unscheduled}
    if choose is None:
        chosen = {name: choose_schedule(kernel, machine, rounding) for name, kernel in kernels.items()}
    else:
        chosen = choose(kernels)
    share_packings(module, {name: kernel for name, kernel in kernels.items() if chosen[name].packed}, chosen, machine)
    for name, kernel in kernels.items():
        schedule_op(kernel.function).operation.attributes["schedule"] = chosen[name].to_attribute()
