"""The ways to compute a convolution, by their predicted cycles."""

from __future__ import annotations

from terrace.lowering.kernels.conv2d import implicit_gemm_schedule, winograd_schedule
from terrace.lowering.kernels.conv2d.implicit_gemm_shape import IMPLICIT_GEMM
from terrace.lowering.kernels.conv2d.winograd_schedule import Sizes, direct_cycles
from terrace.lowering.kernels.schedule import DIRECT, Schedule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine

MARGIN = 0.9
"""A variant is chosen where it takes less than this part of the direct one's cycles: Winograd's round more."""


def ranked_schedules(
    kernel: KernelView, machine: VectorMachine, winograd: bool = True
) -> dict[str, list[tuple[float, Schedule]]]:
    """The schedules of each variant that a kernel may have, and their cycles, the best first."""
    found = winograd_schedule.ranked_schedules(kernel, machine) if winograd else {}
    products = implicit_gemm_schedule.ranked_schedules(kernel, machine)
    return {name: ranked for name, ranked in {**found, IMPLICIT_GEMM: products}.items() if ranked}


def candidates(
    kernel: KernelView, direct: Schedule, machine: VectorMachine, winograd: bool = True
) -> dict[str, tuple[float, Schedule]]:
    """The best schedule of each variant that the kernel may have, and its cycles; none if it has but one."""
    found = {name: ranked[0] for name, ranked in ranked_schedules(kernel, machine, winograd).items()}
    return {**found, DIRECT: (direct_cycles(Sizes.of(kernel), direct, machine), direct)} if found else {}


def best_variant(kernel: KernelView, direct: Schedule, machine: VectorMachine, winograd: bool = True) -> Schedule:
    """The direct schedule, or a variant's that takes clearly fewer cycles."""
    found = candidates(kernel, direct, machine, winograd)
    if not found:
        return direct
    best, schedule = min(found.values(), key=lambda pair: pair[0])
    return schedule if best < MARGIN * found[DIRECT][0] else direct
