"""What loads and stores move at once, where loops are unrolled: the banks that it takes, and the ports of each."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Mapping

from terrace.lowering.target.hls.addresses import (
    Access,
    Coefficients,
    accesses,
    affine,
    body_copies,
    bounds_of,
    constant_index,
    flat_address,
    is_register,
    loop_of,
    trip_count,
)
from terrace.lowering.target.hls.memory_attributes import copies_of, partition_of
from terrace.mlir import ir, operation_of


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

    def is_fixed(self, banks: int) -> bool:
        """Whether each element stays in its bank, whatever the iteration."""
        return all(stride % banks == 0 for stride in self.strides)

    def fits(self, banks: int) -> bool:
        """Whether hardware has its banks without a division: a power of two of them is reached, or an address stays
        within as many elements as there are banks.
        """
        count = banks // math.gcd(banks, *self.strides)
        moving = [span for stride, span in zip(self.strides, self.spans, strict=True) if stride % banks]
        low, high = (sum(way(span, 0) for span in moving) for way in (min, max))
        is_near = all(offset % banks + low >= 0 and offset % banks + high < banks for offset in self.offsets)
        return count & (count - 1) == 0 or is_near


def conflicts(loop: ir.Operation) -> int:
    """Cycles that an iteration of a loop, in which others are unrolled, keeps the busiest port of a memory occupied."""
    most = 1
    for memory in {access.memory for access in accesses(loop) if not is_register(access.memory)}:
        work, spec = work_of(memory), partition_of(memory)
        if work is None or spec.get("kind", "cyclic") != "cyclic":
            most = max(most, sum(access.memory == memory for access in accesses(loop)))
            continue
        places, banks = [work.get(loop, [])], spec.get("factor", 1)
        reads = -(-ports_needed(places, banks, stores=False) // copies_of(memory))
        most = max(most, reads, ports_needed(places, banks, stores=True))
    return most


def work_of(memory: ir.Value) -> dict[ir.Operation, list[Reach]] | None:
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


def reach_of(
    operation: ir.Operation, dim: int | None = None, unrolled: tuple[ir.Operation, int] | None = None
) -> Reach | None:
    """What a load or store moves at once, in all of the memory or along one dimension; None for an address that is not
    affine. `unrolled` is a loop and the copies of its body that it would have.
    """
    access = Access(operation)
    address = flat_address(access) if dim is None else affine(access.indices[dim])
    if address is None:
        return None
    moves, bounded = _Place.of(operation).bounded(address[0])
    return _reach(access.is_store, moves, bounded, address[1], unrolled)


@dataclasses.dataclass(frozen=True)
class _Place:
    """The innermost loop, or function, around an op that is not unrolled whole, and what is known of indices there:
    what they are below.
    """

    loop: ir.Operation
    bounds: list[tuple[ir.Value, int]]

    @staticmethod
    def of(operation: ir.Operation) -> _Place:
        bounds = list[tuple[ir.Value, int]]()
        child, parent = operation, operation.parent.operation
        while parent.name == "scf.if" or (parent.name == "scf.for" and body_copies(parent) == trip_count(parent)):
            if parent.name == "scf.if" and child.block == parent.regions[0].blocks[0]:
                bounds += bounds_of(parent.operands[0])
            child, parent = parent, parent.parent.operation
        return _Place(parent, bounds)

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


def _reach(
    is_store: bool,
    moves: Coefficients,
    bounded: Mapping[ir.Value, tuple[int, int]],
    constant: int,
    unrolled: tuple[ir.Operation, int] | None,
) -> Reach:
    offsets, base, strides, spans = {constant}, set[tuple[ir.Value, int]](), list[int](), list[int]()
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
        copies = unrolled[1] if unrolled is not None and loop == unrolled[0] else body_copies(loop)
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


def ports_needed(places: Iterable[list[Reach]], banks: int, stores: bool) -> int:
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
