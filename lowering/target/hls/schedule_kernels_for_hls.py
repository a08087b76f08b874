"""`schedule-kernels-for-hls`: the schedules that hardware wants, written into kernels that have none yet."""

from __future__ import annotations

import dataclasses

from terrace.lowering.kernels.choose_schedules import schedule_kernels
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.view import is_kernel, schedule_op
from terrace.mlir import DYNAMIC, ir
from terrace.passes import Pass, fail
from terrace.target import HlsDescription


@dataclasses.dataclass(frozen=True)
class ScheduleKernelsForHls(Pass):
    """Choose tiles of kernels that have no schedule yet, for hardware with `local_bytes` for a staged array."""

    name = "schedule-kernels-for-hls"
    local_bytes: int = 64 << 10

    def run(self, module: ir.Operation) -> None:
        for function in [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]:
            if DYNAMIC in IterationSpace.from_attribute(schedule_op(function).iteration_space).sizes:
                name = function.name.value
                raise fail(function, f"@{name} has a dynamic size; hardware needs static shapes")
        schedule_kernels(module, HlsDescription(local_bytes=self.local_bytes).machine)
