"""Choosing schedules: what the `schedule-kernels` passes of all targets share."""

from __future__ import annotations

import math

from terrace.dialects.base import attributes_of
from terrace.dialects.graph_macs import macs_of
from terrace.lowering.kernels.read_kernel import constant_arguments, family_of_kernel, read_kernel
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView, is_kernel, schedule_op
from terrace.lowering.kernels.workgroups import balanced
from terrace.machine import Machine, VectorMachine
from terrace.mlir import ir
from terrace.passes import fail


def choose_schedule(kernel: KernelView, machine: Machine) -> Schedule:
    """What the cost model of the kernel's family chooses. Refuses a kernel whose family has none for such machines."""
    for kind, choose in family_of_kernel(kernel.function).schedules.items():
        if isinstance(machine, kind):
            schedule = choose(kernel, machine)
            if isinstance(machine, VectorMachine):
                return balanced(kernel.space, schedule, _work_of(kernel), machine.workers)
            return schedule
    raise fail(schedule_op(kernel.function), f"has no cost model for generator '{kernel.generator}'")


def _work_of(kernel: KernelView) -> int:
    """Multiply-adds of a kernel, or about the bytes that it reads and writes: a float of each for a point."""
    macs = sum(macs_of(op) for op in kernel.operations)
    return macs or 8 * math.prod(kernel.space.sizes)


def schedule_kernels(module: ir.Operation, machine: Machine) -> None:
    """Write a schedule for a machine into every kernel that has none."""
    constant = constant_arguments(module)
    for function in [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]:
        op = schedule_op(function)
        if not attributes_of(op).schedule:
            kernel = read_kernel(function, constant)
            op.operation.attributes["schedule"] = choose_schedule(kernel, machine).to_attribute()
