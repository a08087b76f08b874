"""`schedule-kernels-for-hls`: the schedules that hardware wants, written into kernels that have none yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from terrace.dialects.base import attributes_of
from terrace.lowering.kernels.choose_schedules import choose_schedule, schedule_kernels
from terrace.lowering.kernels.circuit_tile import cost_of_circuit, is_of_integers
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.read_kernel import calls_of, read_kernel
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView, is_kernel, schedule_op
from terrace.lowering.target.description import hls_of
from terrace.lowering.target.hls.plan_parallelism import choices_of, plan
from terrace.mlir import DYNAMIC, ir
from terrace.passes import Pass, fail, given_options
from terrace.target import HlsDescription


@dataclasses.dataclass(frozen=True)
class ScheduleKernelsForHls(Pass):
    """Choose tiles of kernels that have no schedule yet, for hardware with `local_bytes` for a staged array.

    Kernels of integers share `dsp` multipliers (`plan_parallelism.py`), or as few of them as `target_fps` needs, with
    tiles of at most `max_unroll` along a dimension. All of these are those of the description that the module names, or
    the usual ones, unless given.
    """

    name = "schedule-kernels-for-hls"
    local_bytes: int | None = None
    dsp: int | None = None
    max_unroll: int | None = None
    target_fps: int | None = None

    def run(self, module: ir.Operation) -> None:
        for function in [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]:
            if DYNAMIC in IterationSpace.from_attribute(schedule_op(function).iteration_space).sizes:
                name = function.name.value
                raise fail(function, f"@{name} has a dynamic size; hardware needs static shapes")
        hls = dataclasses.replace(hls_of(module), **given_options(self))
        schedule_kernels(module, hls.machine, choose=_Plan(module, hls).choose)


class _Plan:
    """Chooses the schedules of all kernels of a module that have none, beside those that have one."""

    def __init__(self, module: ir.Operation, hls: HlsDescription) -> None:
        self.module, self.hls = module, hls
        self.machine, self.multipliers = hls.machine, hls.dsp
        self.least = int(hls.clock_mhz * 1e6 / hls.target_fps) if hls.target_fps else 1
        calls = calls_of(module)
        self.calls = {name: found.count for name, found in calls.items()}
        for function in [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]:
            if attributes_of(schedule_op(function)).schedule:
                kernel = read_kernel(function, calls)
                if is_of_integers(kernel):
                    cost = cost_of_circuit(kernel, kernel.schedule)
                    self.multipliers -= cost.multipliers * self.calls.get(kernel.name, 1)
                    self.least = max(self.least, cost.cycles)

    def choose(self, kernels: Mapping[str, KernelView]) -> dict[str, Schedule]:
        floats = {name: k for name, k in kernels.items() if not is_of_integers(k)}
        integers = {name: choices_of(k, self.machine) for name, k in kernels.items() if name not in floats}
        calls = {name: self.calls.get(name, 1) for name in integers}
        found = plan(integers, calls, self.multipliers, self.least)
        slowest = max((choice.cost.cycles for choice in found.values()), default=0)
        if self.hls.target_fps and slowest > self.least:
            raise fail(
                self.module,
                f"cannot give {self.hls.target_fps} frames per second with {self.hls.dsp} multipliers: they allow"
                f" {self.hls.clock_mhz * 1e6 / slowest:.0f} at {self.hls.clock_mhz} MHz; raise dsp or ask for fewer",
            )
        schedules = {name: choice.schedule for name, choice in found.items()}
        return {name: schedules.get(name) or choose_schedule(kernel, self.machine) for name, kernel in kernels.items()}
