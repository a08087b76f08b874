"""`schedule-kernels-for-gpu`: the schedules that a GPU wants, written into kernels that have none yet."""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.target.cpu.schedule_kernels import Unscheduled, schedule_each
from terrace.lowering.target.gpu.schedules import (
    schedule_conv2d,
    schedule_elementwise,
    schedule_matmul,
    schedule_row_reduction,
)
from terrace.mlir import ir
from terrace.passes import Pass
from terrace.target import GpuDescription


def _schedule(kernel: Unscheduled, gpu: GpuDescription) -> Schedule:
    space, constant = kernel.space, kernel.constant
    if kernel.generator == "elementwise":
        return schedule_elementwise(space, len(constant), gpu)
    if kernel.generator == "row_reduction":
        return schedule_row_reduction(space, len(constant), gpu)
    attrs = attributes_of(kernel.root)
    if kernel.generator == "matmul":
        return schedule_matmul(space, attrs.transpose_rhs, constant, gpu)
    return schedule_conv2d(space, attrs, shape_of(kernel.root.operands[0]), len(constant), constant[1], gpu)


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
        schedule_each(module, lambda kernel: _schedule(kernel, gpu))
