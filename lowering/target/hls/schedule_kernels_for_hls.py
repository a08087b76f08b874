"""`schedule-kernels-for-hls`: the schedules that hardware wants, written into kernels that have none yet."""

from __future__ import annotations

import dataclasses

from terrace.lowering.kernels.choose_schedules import schedule_kernels
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.view import is_kernel, schedule_op
from terrace.lowering.target.description import target_of
from terrace.mlir import DYNAMIC, ir
from terrace.passes import Pass, fail, given_options
from terrace.target import HlsDescription


@dataclasses.dataclass(frozen=True)
class ScheduleKernelsForHls(Pass):
    """Choose tiles of kernels that have no schedule yet, for hardware with `local_bytes` for a staged array.

    They are those of the description that the module names, or the usual ones, unless given.
    """

    name = "schedule-kernels-for-hls"
    local_bytes: int | None = None

    def run(self, module: ir.Operation) -> None:
        for function in [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]:
            if DYNAMIC in IterationSpace.from_attribute(schedule_op(function).iteration_space).sizes:
                name = function.name.value
                raise fail(function, f"@{name} has a dynamic size; hardware needs static shapes")
        target = target_of(module)
        hls = (target and target.hls) or HlsDescription()
        schedule_kernels(module, dataclasses.replace(hls, **given_options(self)).machine)
