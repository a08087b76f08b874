"""`schedule-kernels-for-hls`: the schedules that hardware wants, written into kernels that have none yet."""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.target.cpu.schedule_kernels import Unscheduled, schedule_each
from terrace.lowering.target.hls.schedules import (
    schedule_conv2d,
    schedule_matmul,
    schedule_pointwise,
    schedule_pool2d,
    schedule_reduce,
)
from terrace.mlir import DYNAMIC, ir
from terrace.passes import Pass, fail


def _schedule(kernel: Unscheduled, local_bytes: int) -> Schedule:
    space, arguments = kernel.space, len(kernel.constant)
    if DYNAMIC in space.sizes:
        raise fail(kernel.function, f"@{kernel.function.name.value} has a dynamic size; hardware needs static shapes")
    if kernel.generator == "matmul":
        return schedule_matmul(space, arguments)
    if kernel.generator == "pool2d":
        return schedule_pool2d(space, arguments)
    if kernel.generator == "conv2d":
        channels = shape_of(kernel.root.operands[0])[3]
        return schedule_conv2d(space, attributes_of(kernel.root), channels, arguments, local_bytes)
    if kernel.generator == "reduce":
        return schedule_reduce(space, attributes_of(kernel.root).kind == "prod", arguments)
    return schedule_pointwise(space, arguments)


@dataclasses.dataclass(frozen=True)
class ScheduleKernelsForHls(Pass):
    """Choose tiles of kernels that have no schedule yet, for hardware with `local_bytes` for a staged array."""

    name = "schedule-kernels-for-hls"
    local_bytes: int = 64 << 10

    def run(self, module: ir.Operation) -> None:
        schedule_each(module, lambda kernel: _schedule(kernel, self.local_bytes))
