"""`set-hardware-attributes`: pipelining and unrolling of the loops of each kernel, and banks of arrays, under a budget.

From the innermost loop outwards, a loop on local registers is unrolled as far as `max_unroll` copies of its body and
`dsp` blocks allow, by a divisor of its trip count. So is one that fills registers from arrays, if these can be cut into
as many cyclic banks (`banks.py`) within `bram` blocks. Left alone are a loop that moves elements to or from other
memory, which has one port, and one whose iterations wait for each other. The first loop that is not unrolled whole is
pipelined, at the interval that its accumulations (the next iteration waits for the addition of the last) and its memory
ports allow. Loops that have attributes keep them. In integer kernels, whose tiles are unrolled, memories are cut into
banks and copied first (`ports.py`); those that the host fills or reads have as many banks that their streams keep up
with the slowest kernel.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

from terrace.dialects.base import to_attribute
from terrace.dialects.hardware import COPIES, PIPELINE, STREAM, UNROLL
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.hls.addresses import Access, accesses, body_copies, is_register, loops_in, trip_count
from terrace.lowering.target.hls.banks import wanted_banks
from terrace.lowering.target.hls.latency import kernel_cycles
from terrace.lowering.target.hls.memory_attributes import copies_of, partition_of, set_attribute, set_banks
from terrace.lowering.target.hls.ports import Shared, is_array, is_of_integers, shared_memories
from terrace.lowering.target.hls.reach import conflicts
from terrace.lowering.target.hls.resources import design_blocks, dsp_blocks, format_of, memory_blocks
from terrace.mlir import ir, operation_of, walk
from terrace.number_format import FixedPoint
from terrace.passes import Pass, fail

ADD_LATENCY = 4
"""Cycles until the result of a float32 addition can be added to, at a clock of 200 MHz."""


def accumulates(loop: ir.Operation) -> bool:
    """Whether an iteration reads registers that the last one wrote: it waits for them, unrolled or not."""
    index = loop.regions[0].blocks[0].arguments[0]
    stays: dict[ir.Value, list[Access]] = collections.defaultdict(list)
    for access in accesses(loop):
        if is_register(access.memory) and not access.depends_on(index) and not _is_local(access.memory, loop):
            stays[access.memory].append(access)
    return any(not found[0].is_store and any(a.is_store for a in found) for found in stays.values())


def addition_latency(loop: ir.Operation) -> int:
    """Cycles from the operands of an accumulation to its result; integers are added within one."""
    results = [result.type for operation in walk(loop) for result in operation.results]
    return ADD_LATENCY if any(isinstance(type_, ir.FloatType) for type_ in results) else 1


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


@dataclasses.dataclass
class Budget:
    """The half blocks of RAM that are left for banks, and the format of the numbers in them."""

    format: FixedPoint | None
    left: int

    def take(self, arrays: Mapping[ir.Value, int]) -> bool:
        """Whether these arrays can have so many banks; if so they are paid for."""
        more = sum(
            memory_blocks(memory.type, self.format, banks)
            - memory_blocks(memory.type, self.format, partition_of(memory).get("factor", 1))
            for memory, banks in arrays.items()
        )
        return self.spend(more)

    def spend(self, blocks: int) -> bool:
        """Whether there are so many half blocks left; if so they are taken."""
        if blocks > max(0, self.left):
            return False
        self.left -= blocks
        return True

    def of(self, shared: Shared, banks: int, copies: Mapping[ir.Value, int]) -> int:
        """The half blocks that a memory takes more in so many banks, each there so many times.

        A buffer is there for each kernel that has it, in two halves.
        """
        plain, each = (memory_blocks(shared.inside[0].type, self.format, count) for count in (1, banks))
        halves = 2 if any(map(is_array, shared.between)) else 1
        return halves * sum(each * count - plain for count in copies.values())


@dataclasses.dataclass(frozen=True)
class SetHardwareAttributes(Pass):
    """Pipeline and unroll the loops of kernels, and cut arrays into banks, under a budget.

    It is `max_unroll` copies of a body, `dsp` multiplier blocks and `bram` blocks of RAM (36 Kb).
    """

    name = "set-hardware-attributes"
    max_unroll: int = 16
    dsp: int = 220
    bram: int = 140

    def run(self, module: ir.Operation) -> None:
        if self.max_unroll < 1 or self.dsp < 0:
            raise fail(module, f"needs max-unroll >= 1 and dsp >= 0, got {self.max_unroll} and {self.dsp}")
        budget = Budget(format_of(module), 2 * self.bram - design_blocks(module))
        memories = [shared for shared in shared_memories(module) if shared.may_be_cut]
        for shared in memories:
            self.fit(shared, budget)
        for function in loop_kernels(module):
            for loop in loops_in(function.entry_block):
                self.visit(loop, budget)
        found = kernel_cycles(module)
        cycles = max([1, *(found[f.name.value] or 1 for f in loop_kernels(module) if is_of_integers(f))])
        for shared in memories:
            # A word of a stream has an element for each bank.
            least = 1 << (-(-shared.elements // cycles) - 1).bit_length()
            if shared.is_streamed and least > partition_of(shared.inside[0]).get("factor", 1):
                self.fit(shared, budget, least)

    @staticmethod
    def fit(shared: Shared, budget: Budget, least: int = 1) -> None:
        """Give a memory the banks and copies that unrolled loops want, `least` or more, or as many as fit."""
        options = shared.options(least)
        banks, copies = next(option for option in options if budget.spend(budget.of(shared, *option)))
        if banks < least:
            return
        roots = [memory for memory in shared.between if is_array(memory)]
        for memory in [*shared.inside, *roots]:
            if banks > 1:
                set_banks(memory, banks)
            most = max([1, *copies.values()]) if memory in roots else copies.get(memory, 1)
            if most != copies_of(memory):
                set_attribute(memory, COPIES, to_attribute(most))
            # A queue gives one element after the other.
            if (banks > 1 or most > 1) and memory in roots and STREAM in memory.owner.attributes:
                del memory.owner.attributes[STREAM]

    @staticmethod
    def cut(loop: ir.Operation, trips: int, room: int, budget: Budget) -> int:
        """The factor by which a loop that reads arrays into registers can be unrolled, the arrays cut into banks."""
        for factor in range(min(trips, room), 1, -1):
            arrays = wanted_banks(loop, factor) if trips % factor == 0 else None
            if arrays is None:
                continue
            new = {memory: banks for memory, banks in arrays.items() if partition_of(memory).get("factor") != banks}
            if budget.take(new):
                for memory, banks in new.items():
                    set_banks(memory, banks)
                return factor
        return 1

    def visit(self, loop: ir.Operation, budget: Budget) -> int | None:
        """Set the attributes of a loop; the copies of its body if it is unrolled whole, else None."""
        inner = [self.visit(child, budget) for child in loops_in(loop.regions[0].blocks[0])]
        if PIPELINE in loop.attributes:
            return None
        if UNROLL in loop.attributes:
            return body_copies(loop) * max([1, *filter(None, inner)]) if body_copies(loop) == trip_count(loop) else None
        if None in inner:
            return None
        trips, copies = trip_count(loop), max([1, *filter(None, inner)])
        factor = 1
        waits = accumulates(loop)
        if trips and not waits:
            blocks = dsp_blocks(loop)
            room = min(self.max_unroll, self.dsp // blocks if blocks else self.max_unroll)
            if all(is_register(access.memory) for access in accesses(loop)):
                factor = _largest_divisor(trips, min(room, self.max_unroll // copies))
            else:
                factor = self.cut(loop, trips, room, budget)
        if factor > 1 or trips == 1:
            loop.attributes[UNROLL] = to_attribute(factor)
        if factor == trips:
            return factor * copies
        loop.attributes[PIPELINE] = to_attribute(max(addition_latency(loop) if waits else 1, conflicts(loop)))
        return None
