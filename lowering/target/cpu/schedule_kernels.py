"""`schedule-kernels`: the cost model of each kernel family chooses a schedule and writes it into the kernel."""

from __future__ import annotations

import dataclasses

from terrace.lowering.kernels.choose_schedules import schedule_kernels
from terrace.lowering.target.cpu.atoms import machine_of
from terrace.lowering.target.description import target_of
from terrace.mlir import ir
from terrace.passes import Pass, given_options
from terrace.target import CpuDescription, Target


@dataclasses.dataclass(frozen=True)
class ScheduleKernels(Pass):
    """Choose tile sizes, blocks, layouts and parallel dimensions of kernels that have no schedule yet.

    The CPU is the one that the module names, or a usual one; options override its numbers. `winograd` lets convolutions
    be computed by Winograd's variants.
    """

    name = "schedule-kernels"
    vector_bits: int | None = None
    vector_registers: int | None = None
    fma_per_cycle: int | None = None
    fma_latency: int | None = None
    loads_per_cycle: int | None = None
    l1_bytes: int | None = None
    l2_bytes: int | None = None
    local_bytes: int | None = None
    workers: int | None = None
    winograd: bool = True

    def run(self, module: ir.Operation) -> None:
        target = target_of(module) or Target(features=())
        numbers = given_options(self)
        rounding = numbers.pop("winograd")
        cpu = dataclasses.replace(target.cpu or CpuDescription(), **numbers)
        schedule_kernels(module, machine_of(dataclasses.replace(target, cpu=cpu)), rounding)
