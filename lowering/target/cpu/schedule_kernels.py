"""`schedule-kernels`: the cost model of each kernel family chooses a schedule and writes it into the kernel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from terrace.dialects.base import attributes_of, shape_of, to_python
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.kernels.conv2d.schedule import schedule_conv2d
from terrace.lowering.kernels.elementwise.schedule import schedule_elementwise
from terrace.lowering.kernels.group import CONTRACTIONS, POOLS, REDUCTIONS
from terrace.lowering.kernels.matmul.schedule import schedule_matmul
from terrace.lowering.kernels.pool2d.schedule import schedule_pool2d
from terrace.lowering.kernels.reduce.schedule import schedule_reduce
from terrace.lowering.kernels.registry import GENERATORS
from terrace.lowering.kernels.row_reduction.schedule import schedule_row_reduction
from terrace.lowering.kernels.schedule import IterationSpace, Schedule
from terrace.lowering.kernels.view import is_kernel, schedule_op, space_of
from terrace.mlir import ir, walk
from terrace.passes import Pass, fail
from terrace.target import CpuDescription


def constant_arguments(module: ir.Operation) -> dict[str, list[bool]]:
    """For each kernel, which tensor arguments are weights wherever it is called."""
    constants = constant_values(module)
    found: dict[str, list[bool]] = {}
    for operation in walk(module):
        if operation.name != "func.call":
            continue
        name = to_python(operation.attributes["callee"])
        tensors = [v for v in operation.operands if isinstance(v.type, ir.RankedTensorType)]
        flags = [v in constants for v in tensors]
        found[name] = [a and b for a, b in zip(found.get(name, flags), flags, strict=True)]
    return found


@dataclasses.dataclass(frozen=True)
class Unscheduled:
    """What a cost model may read of a kernel. `constant` says of each tensor argument whether it is a weight."""

    function: Any
    generator: str
    space: IterationSpace
    constant: list[bool]

    @property
    def root(self) -> ir.Operation:
        """The contraction, pooling or reduction of the kernel."""
        wanted = CONTRACTIONS + POOLS + REDUCTIONS
        return next(op.operation for op in self.function.entry_block.operations if op.operation.name in wanted)


def kernel_of(function: Any, constant: dict[str, list[bool]]) -> Unscheduled:
    """What the cost model reads of a kernel function; `constant` is what `constant_arguments` found."""
    op = schedule_op(function)
    tensors = [a for a in function.entry_block.arguments if isinstance(a.type, ir.RankedTensorType)]
    flags = constant.get(function.name.value, [False] * len(tensors))
    return Unscheduled(function, to_python(op.generator), space_of(function), flags)


def schedule_each(module: ir.Operation, choose: Callable[[Unscheduled], Schedule]) -> None:
    """Write the schedule that `choose` gives into every kernel that has none."""
    constant = constant_arguments(module)
    for function in [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]:
        op = schedule_op(function)
        if attributes_of(op).schedule:
            continue
        if to_python(op.generator) not in GENERATORS:
            raise fail(op, f"has no cost model for generator '{to_python(op.generator)}'")
        kernel = kernel_of(function, constant)
        op.operation.attributes["schedule"] = choose(kernel).to_attribute(kernel.space)


def choose_schedule(kernel: Unscheduled, cpu: CpuDescription) -> Schedule:
    """What the cost model of the kernel's family chooses."""
    space, constant = kernel.space, kernel.constant
    if kernel.generator == "elementwise":
        return schedule_elementwise(space, len(constant), cpu)
    if kernel.generator == "row_reduction":
        return schedule_row_reduction(space, len(constant), cpu)
    attrs = attributes_of(kernel.root)
    if kernel.generator == "reduce":
        return schedule_reduce(space, attrs.kind, len(constant), cpu)
    if kernel.generator == "pool2d":
        return schedule_pool2d(space, attrs, len(constant), cpu)
    if kernel.generator == "matmul":
        return schedule_matmul(space, attrs.transpose_rhs, constant, cpu)
    return schedule_conv2d(space, attrs, shape_of(kernel.root.operands[0]), len(constant), constant[1], cpu)


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
        schedule_each(module, lambda kernel: choose_schedule(kernel, cpu))
