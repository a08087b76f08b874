"""`set-hardware-attributes`: pipelining and unrolling of the loops of each kernel, under a budget of multipliers.

From the innermost loop outwards, a loop on local registers is unrolled as far as `max_unroll` copies of its body and
`dsp` blocks allow, by a divisor of its trip count. Left alone are a loop that moves elements to or from other memory,
which has one port, and one whose iterations wait for each other. The first loop that is not unrolled whole is
pipelined, at the interval that its accumulations (the next iteration waits for the addition of the last) and its memory
ports allow. Loops that have attributes keep them.
"""

from __future__ import annotations

import collections
import dataclasses

from terrace.dialects.base import to_attribute
from terrace.dialects.loop import PARTITION, PIPELINE, UNROLL
from terrace.lowering.target.hls.addresses import Access, accesses, loops_in, trip_count
from terrace.mlir import func, ir, operation_of, walk
from terrace.passes import Pass, fail

ADD_LATENCY = 4
"""Cycles until the result of a float32 addition can be added to, at a clock of 200 MHz."""

DSP_BLOCKS = {"arith.addf": 2, "arith.mulf": 3, "arith.subf": 2, "math.exp": 7, "math.fma": 5}
"""DSP blocks of a float32 operator (AMD's floating-point operators on UltraScale); other ops are made of logic."""


def dsp_blocks(loop: ir.Operation) -> int:
    """The DSP blocks of the operators in a loop's body, inner unrolled loops counted as often as they are copied."""
    total = 0
    for operation in walk(loop):
        copies, parent = 1, operation.parent
        while parent is not None and parent.operation != loop:
            copies *= _copies(parent.operation)
            parent = parent.operation.parent
        total += DSP_BLOCKS.get(operation.name, 0) * copies
    return total


def _copies(operation: ir.Operation) -> int:
    return operation.attributes[UNROLL].value if UNROLL in operation.attributes else 1


def _is_register(memory: ir.Value) -> bool:
    """Whether every element of a memory can be read and written at once."""
    owner = operation_of(memory)
    if owner is None or owner.name != "memref.alloca":
        return False
    return ir.MemRefType(memory.type).rank == 0 or PARTITION in owner.attributes


def accumulates(loop: ir.Operation) -> bool:
    """Whether an iteration reads registers that the last one wrote: it waits for them, unrolled or not."""
    index = loop.regions[0].blocks[0].arguments[0]
    stays: dict[ir.Value, list[Access]] = collections.defaultdict(list)
    for access in accesses(loop):
        if _is_register(access.memory) and not access.depends_on(index) and not _is_local(access.memory, loop):
            stays[access.memory].append(access)
    return any(not found[0].is_store and any(a.is_store for a in found) for found in stays.values())


def addition_latency(loop: ir.Operation) -> int:
    """Cycles from the operands of an accumulation to its result; integers are added within one."""
    results = [result.type for operation in walk(loop) for result in operation.results]
    return ADD_LATENCY if any(isinstance(type_, ir.FloatType) for type_ in results) else 1


def port_conflicts(loop: ir.Operation) -> int:
    """Cycles that an iteration keeps the busiest memory's port occupied; reads and writes have a port each."""
    others = [access for access in accesses(loop) if not _is_register(access.memory)]
    ports = collections.Counter((access.memory, access.is_store) for access in others)
    return max([1, *ports.values()])


def _is_local(memory: ir.Value, loop: ir.Operation) -> bool:
    """Whether a memory is made anew in each iteration."""
    owner = operation_of(memory)
    while owner is not None and owner.name != "func.func":
        if owner == loop:
            return True
        owner = owner.parent.operation if owner.parent is not None else None
    return False


def _largest_divisor(number: int, limit: int) -> int:
    return max(d for d in range(1, max(1, min(number, limit)) + 1) if number % d == 0)


@dataclasses.dataclass(frozen=True)
class SetHardwareAttributes(Pass):
    """Pipeline and unroll the loops of kernels within `max_unroll` copies of a body and `dsp` multiplier blocks."""

    name = "set-hardware-attributes"
    max_unroll: int = 16
    dsp: int = 220

    def run(self, module: ir.Operation) -> None:
        if self.max_unroll < 1 or self.dsp < 0:
            raise fail(module, f"needs max-unroll >= 1 and dsp >= 0, got {self.max_unroll} and {self.dsp}")
        for view in module.regions[0].blocks[0].operations:
            if isinstance(view, func.FuncOp) and "loop.kernel" in view.attributes:
                for loop in loops_in(view.entry_block):
                    self.visit(loop)

    def visit(self, loop: ir.Operation) -> int | None:
        """Set the attributes of a loop; the copies of its body if it is unrolled whole, else None."""
        inner = [self.visit(child) for child in loops_in(loop.regions[0].blocks[0])]
        if PIPELINE in loop.attributes:
            return None
        if UNROLL in loop.attributes:
            return _copies(loop) * max([1, *filter(None, inner)]) if _copies(loop) == trip_count(loop) else None
        if None in inner:
            return None
        trips, copies = trip_count(loop), max([1, *filter(None, inner)])
        factor = 1
        waits = accumulates(loop)
        if trips and not waits and all(_is_register(access.memory) for access in accesses(loop)):
            blocks = dsp_blocks(loop)
            room = min(self.max_unroll // copies, self.dsp // blocks if blocks else self.max_unroll)
            factor = _largest_divisor(trips, room)
        if factor > 1 or trips == 1:
            loop.attributes[UNROLL] = to_attribute(factor)
        if factor == trips:
            return factor * copies
        loop.attributes[PIPELINE] = to_attribute(max(addition_latency(loop) if waits else 1, port_conflicts(loop)))
        return None
