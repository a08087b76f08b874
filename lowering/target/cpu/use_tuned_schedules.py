"""`use-tuned-schedules`: kernels that were measured get the schedule that was the fastest, before others get theirs."""

from __future__ import annotations

import dataclasses

from terrace.caller_line import warn
from terrace.dialects.base import attributes_of, to_attribute
from terrace.lowering.kernels.read_kernel import calls_of, read_kernel
from terrace.lowering.kernels.tuning_records import TunedKernel, read_records
from terrace.lowering.kernels.view import is_kernel, schedule_op
from terrace.lowering.target.candidate_schedules import stale
from terrace.lowering.target.cpu.atoms import machine_of
from terrace.lowering.target.description import target_of
from terrace.mlir import ir
from terrace.passes import Pass
from terrace.target import CpuDescription, Target


@dataclasses.dataclass(frozen=True)
class UseTunedSchedules(Pass):
    """Give kernels that have no schedule yet the fastest one that a file of tuning records has for them.

    Kernels without a record for this machine stay as they are. So do those whose record is stale, with a warning: the
    cost model chooses another schedule by now, or the kernel cannot follow what is recorded. `winograd` lets
    convolutions be computed by Winograd's variants.
    """

    name = "use-tuned-schedules"
    records: str = ""
    winograd: bool = True

    def run(self, module: ir.Operation) -> None:
        records = read_records(self.records) if self.records else {}
        target = target_of(module) or Target(features=())
        machine = machine_of(dataclasses.replace(target, cpu=target.cpu or CpuDescription()))
        calls = calls_of(module)
        for function in [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]:
            op = schedule_op(function)
            if attributes_of(op).schedule:
                continue
            kernel = read_kernel(function, calls)
            record = records.get(TunedKernel.of(kernel, machine, self.winograd))
            if record is None:
                continue
            problem = stale(kernel, record, machine, self.winograd)
            if problem is None:
                op.operation.attributes["schedule"] = to_attribute(dict(record.best))
            else:
                warn(
                    f"the record of kernel @{kernel.name} in {self.records} is not used: {problem}; tune it anew",
                    RuntimeWarning,
                )
