"""The kernel dialect: HOW IT IS CUT. One kernel is one dispatch: a fused group with its schedule."""

from collections.abc import Sequence
from typing import Any

from terrace.mlir import ext, ir

Operand = ext.Operand
Result = ext.Result


class Kernel(ext.Dialect, name="kernel"):
    """The namespace `kernel.`"""


class FuncOp(Kernel.Operation, name="func", traits=[ir.IsIsolatedFromAboveTrait]):
    """A kernel: a symbol at module level whose body holds graph ops on its arguments and ends in `kernel.return`.

    `schedule` is a dictionary: `generator` names the generator that takes the kernel; the rest is its schedule.
    """

    sym_name: ir.StringAttr
    schedule: ir.DictAttr
    body: ext.Region


class ReturnOp(Kernel.Operation, name="return", traits=[ext.Pure, ir.IsTerminatorTrait]):
    """Ends a kernel and gives its results."""

    values: Sequence[Operand[Any]]


class LaunchOp(Kernel.Operation, name="launch", traits=[ext.Pure]):
    """Runs the kernel `callee` on tensors. Pure: it reads its operands and makes new results."""

    inputs: Sequence[Operand[Any]]
    callee: ir.FlatSymbolRefAttr
    results_: Sequence[Result[Any]]
