"""Banks and copies of memories, for as many elements as the unrolled loops of integer kernels read and write at once.

A buffer between kernels is one memory for all of them: element i of it is in bank i mod B. B divides how far addresses
move from one iteration to the next, so that each copy of an unrolled body has a bank of its own. Where a bank is read
at several addresses at once, there are as many copies of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from terrace.dialects.base import shape_of
from terrace.dialects.hardware import STREAM
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.hls.addresses import is_register
from terrace.lowering.target.hls.calls import calls_of, is_weight_on_chip, root_of
from terrace.lowering.target.hls.convert_loop_to_hls import PORT
from terrace.lowering.target.hls.memory_attributes import attribute_of, copies_of, partition_of
from terrace.lowering.target.hls.reach import ports_needed, work_of
from terrace.mlir import func, ir, operation_of, walk

MOST_BANKS = 1024
"""More are multiplexers, not memory."""


@dataclasses.dataclass
class Shared:
    """A memory: what it is in kernels, arguments or arrays, and between them."""

    inside: list[ir.Value] = dataclasses.field(default_factory=list)
    between: list[ir.Value] = dataclasses.field(default_factory=list)

    @property
    def may_be_cut(self) -> bool:
        """Whether it may have banks: weights of the host and its queues may not, and what has some keeps them."""
        if any(partition_of(memory) or copies_of(memory) > 1 for memory in self.inside):
            return False
        ports = [memory for memory in self.between if not is_array(memory) and not is_weight_on_chip(memory)]
        return not any(attribute_of(port, name) for port in ports for name in (PORT, STREAM))

    @property
    def elements(self) -> int:
        return math.prod(shape_of(self.inside[0]))

    @property
    def is_streamed(self) -> bool:
        """Whether the host fills or reads it, or a kernel of floats, which is the host's."""
        is_of_floats = not all(map(_of_integers, self.inside))
        return bool(self.between) and (is_of_floats or any(operation_of(root) is None for root in self.between))

    def options(self, least: int = 1) -> list[tuple[int, dict[ir.Value, int]]]:
        """`least` banks or more and, of what it is in each kernel, copies: the best first, the last without any."""
        work = {memory: work_of(memory) for memory in self.inside if _of_integers(memory)}
        none: dict[ir.Value, int] = {}
        if any(found is None for found in work.values()):
            return [(1, none)]
        known = {memory: list((found or {}).values()) for memory, found in work.items()}
        most = max((sum(len(r.offsets) for r in place) for found in known.values() for place in found), default=1)
        reaches = [reach for found in known.values() for place in found for reach in place]
        ranked = []
        for banks in range(least, min(max(most, 2 * least - 1), MOST_BANKS) + 1):
            if self.divides(banks) and (banks == 1 or all(reach.fits(banks) for reach in reaches)):
                copies = {memory: ports_needed(found, banks, stores=False) for memory, found in known.items()}
                writes = max((ports_needed(found, banks, stores=True) for found in known.values()), default=1)
                ranked.append(((writes, max([1, *copies.values()]), banks), banks, copies))
        ranked.sort(key=lambda option: option[0])
        return [(banks, copies) for _, banks, copies in ranked] + [(1, none)]

    def divides(self, banks: int) -> bool:
        """Whether it can be cut: arrays in kernels have dimensions, of which the last one is."""
        own = [shape_of(memory)[-1] for memory in self.inside if is_array(memory)]
        return all(size % banks == 0 for size in [self.elements, *own])


def is_array(memory: ir.Value) -> bool:
    """Whether a memory is made by the function that it is in."""
    owner = operation_of(memory)
    return owner is not None and owner.name in ("memref.alloc", "memref.alloca")


def _of_integers(memory: ir.Value) -> bool:
    """Whether the kernel that has a memory is one of integers alone, whose tiles are unrolled."""
    owner = operation_of(memory)
    function = ir.BlockArgument(memory).owner.owner if owner is None else owner
    while function.operation.name != "func.func":
        function = function.operation.parent
    return is_of_integers(function.opview)


def is_of_integers(function: func.FuncOp) -> bool:
    """Whether a kernel takes and gives integers only."""
    types = [ir.MemRefType(a.type).element_type for a in function.entry_block.arguments]
    return not any(isinstance(type_, ir.FloatType) for type_ in types)


def shared_memories(module: ir.Operation) -> Iterator[Shared]:
    """The memories of integer kernels: their arrays, and their arguments with what these are between kernels."""
    found: dict[ir.Value, Shared] = {}
    for function in loop_kernels(module):
        for operation in walk(function.operation):
            is_array_of_kernel = operation.name == "memref.alloca" and not is_register(operation.results[0])
            if is_array_of_kernel and is_of_integers(function):
                yield Shared([operation.results[0]])
        for argument in function.entry_block.arguments:
            own = Shared([argument])
            for root in {root_of(call.operands[argument.arg_number]) for call in calls_of(function)}:
                own = _joined(found, own, found.get(root, Shared([], [root])))
            found[argument] = own
    seen: list[Shared] = []
    for shared in found.values():
        if shared not in seen and any(map(_of_integers, shared.inside)):
            seen.append(shared)
    yield from seen


def _joined(found: dict[ir.Value, Shared], first: Shared, second: Shared) -> Shared:
    """Both as one memory, by all that they are."""
    joined = Shared([*first.inside, *second.inside], [*first.between, *second.between])
    found.update(dict.fromkeys([*joined.inside, *joined.between], joined))
    return joined
