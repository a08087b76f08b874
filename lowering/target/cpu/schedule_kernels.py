"""`schedule-kernels`: the cost model of each kernel family chooses a schedule and writes it into the kernel."""

from __future__ import annotations

import dataclasses

from terrace.lowering.kernels.choose_schedules import schedule_kernels
from terrace.mlir import ir
from terrace.passes import Pass
from terrace.target import CpuDescription


@dataclasses.dataclass(frozen=True)
class ScheduleKernels(Pass):
    """Choose tile sizes, blocks, layouts and parallel dimensions of kernels that have no schedule yet."""

    name = "schedule-kernels"
    vector_bits: int = 512
    vector_registers: int = 32
    fma_per_cycle: int = 2
    local_bytes: int = 512 << 10
    l2_bytes: int = 1 << 20
    workers: int = 1

    def run(self, module: ir.Operation) -> None:
        cpu = CpuDescription(
            vector_bits=self.vector_bits,
            vector_registers=self.vector_registers,
            fma_per_cycle=self.fma_per_cycle,
            local_bytes=self.local_bytes,
            l2_bytes=self.l2_bytes,
            workers=self.workers,
        )
        schedule_kernels(module, cpu.machine)
