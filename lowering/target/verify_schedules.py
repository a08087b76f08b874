"""`verify-schedules`: refuse a schedule that the kernel's family or its machine cannot follow, before loops are made.

What the dialect's verifier cannot know: which dimensions a family cuts and which operands it packs, how much memory a
worker has, which atoms a machine has. Useful after kernel text was edited; kernels stay as they are.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of
from terrace.lowering.conversion.convert_kernel_to_loop import make_loops
from terrace.lowering.kernels.view import KernelView, is_kernel, schedule_op
from terrace.lowering.target.backend import backend_of
from terrace.lowering.target.description import target_of
from terrace.lowering.target.local_memory import require_local_memory
from terrace.machine import VectorMachine
from terrace.mlir import func, ir
from terrace.passes import Pass


def check_schedule(function: func.FuncOp, machine: VectorMachine | None) -> None:
    """Raise PassError if the schedule of a kernel is one that its family, or a machine, cannot follow."""
    kernel, loops = make_loops(function)
    try:
        if machine is not None:
            _check_machine(kernel, loops, machine)
    finally:
        loops.operation.erase()


def _check_machine(kernel: KernelView, loops: func.FuncOp, machine: VectorMachine) -> None:
    atom, known = kernel.schedule.atom, [atom.name for atom in machine.atoms]
    if atom is not None and atom not in known:
        raise kernel.refuse(f"the machine has no atom '{atom}'; it has {', '.join(known) or 'none'}")
    require_local_memory(loops, machine)


@dataclasses.dataclass(frozen=True)
class VerifySchedules(Pass):
    """Refuse schedules that kernels' families, or the machine that the module names, cannot follow."""

    name = "verify-schedules"

    def run(self, module: ir.Operation) -> None:
        target = target_of(module)
        machine = backend_of(target).machine if target is not None else None
        for function in [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]:
            if attributes_of(schedule_op(function)).schedule:
                check_schedule(function, machine)
