"""`schedule-kernels-for-gpu`: the schedules that a GPU wants, written into kernels that have none yet."""

from __future__ import annotations

import dataclasses

from terrace.lowering.kernels.choose_schedules import schedule_kernels
from terrace.mlir import ir
from terrace.passes import Pass
from terrace.target import GpuDescription


@dataclasses.dataclass(frozen=True)
class ScheduleKernelsForGpu(Pass):
    """Choose tiles for workgroups, blocks, layouts and staging of kernels that have no schedule yet, for a GPU."""

    name = "schedule-kernels-for-gpu"
    subgroup_size: int = 32
    max_invocations: int = 1024
    local_bytes: int = 32 << 10

    def run(self, module: ir.Operation) -> None:
        gpu = GpuDescription(
            subgroup_size=self.subgroup_size, max_invocations=self.max_invocations, local_bytes=self.local_bytes
        )
        schedule_kernels(module, gpu.machine)
