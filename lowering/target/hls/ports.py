"""Banks and copies of memories, for as many elements as the unrolled loops of integer kernels read and write at once.

A buffer between kernels is one memory for all of them: element i of it is in bank i mod B. B divides how far addresses
move from one iteration to the next, so that each copy of an unrolled body has a bank of its own. Where a bank is read
at several addresses at once, there are as many copies of it.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Iterator

from terrace.dialects.base import shape_of, to_python
from terrace.dialects.hardware import STREAM, UNROLL
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.hls.addresses import (
    Access,
    Coefficients,
    accesses,
    affine,
    bounds_of,
    constant_index,
    flat_address,
    is_register,
    loop_of,
    trip_count,
)
from terrace.lowering.target.hls.banks import attribute_of, copies_of, partition_of
from terrace.lowering.target.hls.calls import calls_of, is_weight_on_chip, root_of
from terrace.lowering.target.hls.convert_loop_to_hls import PORT
from terrace.mlir import func, ir, operation_of, walk

MOST_BANKS = 1024


@dataclasses.dataclass(frozen=True)
class Reach:
    """What an access moves at once: the elements at `offsets` from an address that moves by `strides`, each at most
    over `spans`. Accesses of one `base` are from the same address.
    """

    is_store: bool
    base: frozenset[tuple[ir.Value, int]]
    offsets: frozenset[int]
    strides: tuple[int, ...] = ()
    spans: tuple[int, ...] = ()

    def reached(self, offset: int, banks: int) -> range:
        """The banks in which an element may be, of one iteration or another."""
        common = math.gcd(banks, *self.strides)
        return range(offset % common, banks, common)

    def fits(self, banks: int) -> bool:
        """Whether hardware has its banks without a division: a power of two of them is reached, or an address stays
        within as many elements as there are banks.
        """
        count = banks // math.gcd(banks, *self.strides)
        moving = [span for stride, span in zip(self.strides, self.spans, strict=True) if stride % banks]
        low, high = (sum(way(span, 0) for span in moving) for way in (min, max))
        is_near = all(offset % banks + low >= 0 and offset % banks + high < banks for offset in self.offsets)
        return count & (count - 1) == 0 or is_near


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
        work = {memory: _work(memory) for memory in self.inside if _of_integers(memory)}
        none: dict[ir.Value, int] = {}
        if any(found is None for found in work.values()):
            return [(1, none)]
        known = {memory: list((found or {}).values()) for memory, found in work.items()}
        most = max((sum(len(r.offsets) for r in place) for found in known.values() for place in found), default=1)
        reaches = [reach for found in known.values() for place in found for reach in place]
        ranked = []
        for banks in range(least, min(max(most, 2 * least - 1), MOST_BANKS) + 1):
            if self.divides(banks) and (banks == 1 or all(reach.fits(banks) for reach in reaches)):
                copies = {memory: _needed(found, banks, stores=False) for memory, found in known.items()}
                writes = max((_needed(found, banks, stores=True) for found in known.values()), default=1)
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


def conflicts(loop: ir.Operation) -> int:
    """Cycles that an iteration of a loop, in which others are unrolled, keeps the busiest port of a memory occupied."""
    most = 1
    for memory in {access.memory for access in accesses(loop) if not is_register(access.memory)}:
        work, spec = _work(memory), partition_of(memory)
        if work is None or spec.get("kind", "cyclic") != "cyclic":
            most = max(most, sum(access.memory == memory for access in accesses(loop)))
            continue
        places, banks = [work.get(loop, [])], spec.get("factor", 1)
        reads = -(-_needed(places, banks, stores=False) // copies_of(memory))
        most = max(most, reads, _needed(places, banks, stores=True))
    return most


def _work(memory: ir.Value) -> dict[ir.Operation, list[Reach]] | None:
    """What a kernel does with a memory at once, by the place where it does; None for an address that is not affine."""
    places: dict[ir.Operation, list[Reach]] = collections.defaultdict(list)
    for use in memory.uses:
        operation = use.owner.operation
        if operation.name in ("memref.load", "memref.store"):
            reach = reach_of(operation)
            if reach is None:
                return None
            places[_Place.of(operation).loop].append(reach)
    return places


def reach_of(operation: ir.Operation, dim: int | None = None) -> Reach | None:
    """What a load or store moves at once, in all of the memory or along one dimension; None for an address that is not
    affine.
    """
    access = Access(operation)
    address = flat_address(access) if dim is None else affine(access.indices[dim])
    return None if address is None else _reach(access.is_store, *address, _Place.of(operation))


@dataclasses.dataclass(frozen=True)
class _Place:
    """The innermost loop, or function, around an op that is not unrolled whole, the unrolled loops in it, and what is
    known of indices there: what they are below.
    """

    loop: ir.Operation
    unrolled: list[ir.Operation]
    bounds: list[tuple[ir.Value, int]]

    @staticmethod
    def of(operation: ir.Operation) -> _Place:
        unrolled, bounds = list[ir.Operation](), list[tuple[ir.Value, int]]()
        child, parent = operation, operation.parent.operation
        while parent.name == "scf.if" or (parent.name == "scf.for" and body_copies(parent) == trip_count(parent)):
            if parent.name == "scf.for":
                unrolled.append(parent)
            elif child.block == parent.regions[0].blocks[0]:
                bounds += bounds_of(parent.operands[0])
            child, parent = parent, parent.parent.operation
        return _Place(parent, unrolled, bounds)

    def bounded(self, moves: Coefficients) -> tuple[Coefficients, dict[ir.Value, tuple[int, int]]]:
        """The moves without those that are, together, a bounded index times a number; these, by the number and what
        the index is below.
        """
        rest, found = dict(moves), dict[ir.Value, tuple[int, int]]()
        for value, end in self.bounds:
            parts = affine(value)
            own = parts[0] if parts is not None and not parts[1] else {}
            times = next((rest.get(index, 0) // move for index, move in own.items()), 0)
            if len(own) > 1 and times > 0 and all(rest.get(index, 0) == move * times for index, move in own.items()):
                found[value] = times, end
                rest = {index: move for index, move in rest.items() if index not in own}
        return rest, found


def body_copies(loop: ir.Operation) -> int:
    """How many copies of its body there are."""
    return int(to_python(loop.attributes[UNROLL])) if UNROLL in loop.attributes else 1


def _reach(is_store: bool, all_moves: Coefficients, constant: int, around: _Place) -> Reach:
    offsets, base, strides, spans = {constant}, set[tuple[ir.Value, int]](), list[int](), list[int]()
    moves, bounded = around.bounded(all_moves)
    for index, (move, end) in bounded.items():
        base.add((index, move))
        strides.append(move)
        spans.append(move * (end - 1))
    for index, move in moves.items():
        loop = loop_of(index)
        if loop is None:  # A quotient or a rest of indices.
            base.add((index, move))
            strides.append(move)
            spans.append(move * largest(index))
            continue
        first, step = (constant_index(loop.operands[number]) or 0 for number in (0, 2))
        trips = trip_count(loop) or 0
        copies = trips if loop in around.unrolled else body_copies(loop)
        offsets = {at + move * (first + step * copy) for at in offsets for copy in range(copies)}
        if copies < trips:
            base.add((index, move))
            strides.append(move * step * copies)
            spans.append(move * step * (trips - copies))
    return Reach(is_store, frozenset(base), frozenset(offsets), tuple(strides), tuple(spans))


def largest(index: ir.Value) -> int:
    """The largest number that an index may be, of loops with known bounds."""
    loop, owner = loop_of(index), operation_of(index)
    if loop is not None:
        first, step = (constant_index(loop.operands[number]) or 0 for number in (0, 2))
        return first + step * ((trip_count(loop) or 1) - 1)
    if owner is not None and owner.name in ("arith.divui", "arith.remui"):
        by = constant_index(owner.operands[1]) or 1
        return largest(owner.operands[0]) // by if owner.name == "arith.divui" else by - 1
    found = affine(index)
    assert found is not None and index not in found[0]
    return found[1] + sum(move * largest(part) for part, move in found[0].items() if move > 0)


def _needed(places: Iterable[list[Reach]], banks: int, stores: bool) -> int:
    """At how many addresses a bank is read, or written, at once."""
    most = 1
    for place in places:
        ports: collections.Counter[int] = collections.Counter()
        addresses: dict[frozenset[tuple[ir.Value, int]], set[int]] = collections.defaultdict(set)
        for reach in place:
            if reach.is_store == stores:
                new = reach.offsets - addresses[reach.base]
                addresses[reach.base] |= new
                ports.update(bank for offset in new for bank in reach.reached(offset, banks))
        most = max([most, *ports.values()])
    return most


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
