"""The memory that a worker or workgroup has for itself, held against what a kernel's loops take."""

from __future__ import annotations

import math

from terrace.element_types import ELEMENT_TYPES
from terrace.machine import VectorMachine, WorkgroupMachine
from terrace.mlir import func, ir, walk
from terrace.passes import fail


def require_local_memory(loops: func.FuncOp, machine: VectorMachine | WorkgroupMachine) -> None:
    """Refuse a loop function that allocates more local memory than there is: it would fail where it is called."""
    needed = 0
    for op in walk(loops.operation):
        type_ = op.results[0].type if op.name in ("loop.alloc", "memref.alloc") else None
        if isinstance(type_, ir.MemRefType) and type_.memory_space is not None:
            row = ELEMENT_TYPES.get(str(type_.element_type))
            needed += math.prod(type_.shape) * (row.bytes if row else 8)
    if needed > machine.local_bytes:
        owner = "worker" if isinstance(machine, VectorMachine) else "workgroup"
        name = loops.name.value
        raise fail(loops, f"@{name} needs {needed} bytes of local memory; a {owner} has {machine.local_bytes}")
