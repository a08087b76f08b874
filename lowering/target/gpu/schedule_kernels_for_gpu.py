"""`schedule-kernels-for-gpu`: the schedules that a GPU wants, written into kernels that have none yet."""

from __future__ import annotations

import dataclasses

from terrace.lowering.kernels.choose_schedules import schedule_kernels
from terrace.lowering.target.description import target_of
from terrace.mlir import ir
from terrace.passes import Pass, given_options
from terrace.target import GpuDescription


@dataclasses.dataclass(frozen=True)
class ScheduleKernelsForGpu(Pass):
    """Choose tiles for workgroups, blocks, layouts and staging of kernels that have no schedule yet, for a GPU.

    It is the one that the module names, or a usual one; options override its numbers.
    """

    name = "schedule-kernels-for-gpu"
    subgroup_size: int | None = None
    max_invocations: int | None = None
    local_bytes: int | None = None

    def run(self, module: ir.Operation) -> None:
        target = target_of(module)
        gpu = target.gpu if target is not None and isinstance(target.gpu, GpuDescription) else GpuDescription()
        schedule_kernels(module, dataclasses.replace(gpu, **given_options(self)).machine)
