"""The schedules of a kernel that are worth measuring, and whether what was measured still holds."""

from __future__ import annotations

from terrace.dialects.base import to_attribute
from terrace.errors import PassError
from terrace.lowering.kernels.choose_schedules import alternatives, choose_schedule
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.tuning_records import Record, described
from terrace.lowering.kernels.view import KernelView, schedule_op
from terrace.lowering.target.verify_schedules import check_schedule
from terrace.machine import VectorMachine
from terrace.mlir import func, ir

MOST = 12
"""So many candidates of a kernel are worth a measurement."""


def candidate_schedules(
    kernel: KernelView, machine: VectorMachine, most: int = MOST, rounding: bool = True
) -> list[Schedule]:
    """At most so many distinct schedules that the kernel can follow: the cost model's choice, then the most promising.

    Without `rounding` no variant is among them that rounds more than the direct one.
    """
    chosen = choose_schedule(kernel, machine, rounding)
    found = [chosen]
    others = alternatives(kernel, chosen, machine, rounding)
    while len(found) < most and (other := next(others, None)) is not None:
        if why_not(kernel.function, other.to_attribute(), machine) is None:
            found.append(other)
    return found


def why_not(function: func.FuncOp, schedule: ir.Attribute, machine: VectorMachine) -> str | None:
    """Why a kernel cannot follow a schedule on a machine, or None. The kernel keeps its own."""
    op = schedule_op(function).operation
    own = op.attributes["schedule"]
    op.attributes["schedule"] = schedule
    try:
        op.verify()
        check_schedule(function, machine)
    except ir.MLIRError as error:
        return error.error_diagnostics[0].message
    except PassError as error:
        return error.message
    finally:
        op.attributes["schedule"] = own
    return None


def stale(kernel: KernelView, record: Record, machine: VectorMachine, rounding: bool) -> str | None:
    """Why a record of this kernel says nothing any more, or None."""
    if described(choose_schedule(kernel, machine, rounding)) != record.chosen:
        return "the cost model chooses another schedule than the one that was measured"
    try:
        best = to_attribute(dict(record.best))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return f"its schedule cannot be read ({error})"
    reason = why_not(kernel.function, best, machine)
    return None if reason is None else f"its schedule cannot be followed ({reason})"
