"""A group of ops while the fusion passes try more: what one kernel can compute, and what it has to give."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
from collections.abc import Callable, Container, Mapping, Sequence

from terrace.dialects.base import shape_of
from terrace.lowering.graph.builders import splat_value, users_of
from terrace.lowering.graph.fusion import in_block, is_fusible, is_in
from terrace.lowering.kernels.group import MOST_BINDINGS, Group
from terrace.lowering.kernels.registry import fusing_roots
from terrace.mlir import ir, operation_of


@dataclasses.dataclass(frozen=True)
class _Place:
    """An op of the block, by what comes first."""

    operation: ir.Operation

    def __lt__(self, other: _Place) -> bool:
        return self.operation.is_before_in_block(other.operation)


class OpenGroup:
    """Elementwise ops of one block and of one shape, perhaps with the root before them, each with one result.

    All move to one place, after whatever they read and before any use of their values outside, so that there must be
    such a place: an op that reads a value of the group by way of an op outside cannot join. The group is legal
    whatever joins it later.

    `position` numbers results in program order. Ops that compute one of `constant` stay out, and those after `last`.
    `is_stored` says whether a kernel reads and writes a value.
    """

    def __init__(
        self,
        operations: Sequence[ir.Operation],
        position: Mapping[ir.Value, int],
        constant: Container[ir.Value],
        last: ir.Operation | None,
        is_stored: Callable[[ir.Value], bool],
    ) -> None:
        self._position, self._constant, self._is_stored = position, constant, is_stored
        self._end = math.inf if last is None else position[last.results[0]]
        self._block, self._shape = operations[0].block, shape_of(operations[0].results[0])
        self._users: dict[ir.Value, list[ir.Operation]] = {}
        self.left: set[ir.Value] = set()
        """What joined at first, and then could not be given."""
        self._restart(operations)

    def _restart(self, operations: Sequence[ir.Operation]) -> None:
        self._members: dict[ir.Value, ir.Operation] = {}
        self._reads: set[ir.Value] = set()
        self._latest_number: ir.Operation | None = None
        self._given: dict[ir.Value, int] = {}
        self._uses: list[_Place] = []
        for operation in operations:
            self._join(operation)

    @property
    def operations(self) -> list[ir.Operation]:
        """In program order."""
        return [self._members[value] for value in sorted(self._members, key=self._position.__getitem__)]

    @property
    def group(self) -> Group:
        """Of the results that are used outside."""
        operations = tuple(self.operations)
        results = (op.results[0] for op in operations)
        return Group(operations[-1], operations, tuple(value for value in results if value in self._given))

    def take_producers(self, members: Sequence[ir.Operation], several_results: bool) -> list[ir.Operation]:
        """Take what computes the operands of these members, and their operands; returns what joined.

        From the last to the first, so that all users of a value are decided on before what computes it. That only joins
        if no other op uses the value, or if `several_results` and the group can give it.
        """
        pending: list[int] = []
        found: dict[int, ir.Operation] = {}
        joined = []

        def find(operation: ir.Operation) -> None:
            for value in operation.operands:
                producer = operation_of(value)
                if producer is None or not self._may_join(producer) or self._position[value] in found:
                    continue
                found[self._position[value]] = producer
                heapq.heappush(pending, -self._position[value])

        for member in members:
            find(member)
        while pending:
            candidate = found[-heapq.heappop(pending)]
            value = candidate.results[0]
            is_given = not all(is_in(user, self._members) for user in self._users_of(value))
            if is_given and not (several_results and self._is_stored(value) and self._has_place(candidate)):
                continue
            if len(self._reads_with(candidate)) + len(self._given) + is_given <= MOST_BINDINGS:
                self._join(candidate)
                find(candidate)
                joined.append(candidate)
        return joined

    def take_users(
        self, members: Sequence[ir.Operation], several_results: bool, costly: Container[ir.Value] = ()
    ) -> list[ir.Operation]:
        """Take what uses the values of these members, and its users; returns what joined.

        In program order, so that branches that meet again join whole. An op stays out that would cost more than it
        saves, where what it reads of the group has to be stored anyway: if it computes one of `costly`. The group ends
        with the last op with which all that it gives can be given: one value, that op's, or `several_results`.
        """
        pending: list[int] = []
        found: dict[int, ir.Operation] = {}
        skipped = set[ir.Value]()
        joined, good = list[ir.Operation](), 0

        def find(operation: ir.Operation) -> None:
            for user in self._users_of(operation.results[0]):
                if not self._may_join(user) or self._position[user.results[0]] in found:
                    continue
                found[self._position[user.results[0]]] = user
                heapq.heappush(pending, self._position[user.results[0]])

        for member in members:
            find(member)
        while pending:
            candidate = found[heapq.heappop(pending)]
            if self._costs_more(candidate, skipped, costly) or not self._can_read(candidate, skipped):
                skipped.add(candidate.results[0])
                continue
            self._join(candidate)
            find(candidate)
            joined.append(candidate)
            if self._can_give(candidate.results[0], several_results):
                good = len(joined)
        if good < len(joined):
            self.left.update(operation.results[0] for operation in joined[good:])
            self._restart(list(self._members.values())[: good - len(joined)])
        return joined[:good]

    def _may_join(self, operation: ir.Operation) -> bool:
        if operation.block != self._block or not is_fusible(operation, self._shape):
            return False
        value = operation.results[0]
        return value not in self._members and value not in self._constant and self._position[value] <= self._end

    def _join(self, operation: ir.Operation) -> None:
        value = operation.results[0]
        self._members[value] = operation
        self._reads = self._reads_with(operation)
        for operand in set(operation.operands):
            definer = operation_of(operand)
            if operand in self._given:
                self._given[operand] -= 1
                if not self._given[operand]:
                    del self._given[operand]
            elif splat_value(operand) is not None and definer is not None and definer.block == self._block:
                known = self._latest_number
                self._latest_number = definer if known is None or known.is_before_in_block(definer) else known
        outside = [user for user in self._users_of(value) if not is_in(user, self._members)]
        if outside:
            self._given[value] = len(outside)
        for user in outside:
            heapq.heappush(self._uses, _Place(in_block(user, self._block)))

    def _users_of(self, value: ir.Value) -> list[ir.Operation]:
        """The ops that use `value`; the bindings list them from the last to the first, but the first decides most."""
        if value not in self._users:
            self._users[value] = users_of(value)[::-1]
        return self._users[value]

    def _reads_with(self, operation: ir.Operation) -> set[ir.Value]:
        """What the group reads from outside with `operation`, numbers aside."""
        own = {value for value in operation.operands if value not in self._members and splat_value(value) is None}
        return (self._reads | own) - set(operation.results)

    def _has_place(self, candidate: ir.Operation) -> bool:
        """Whether all that the group reads with `candidate` comes before all uses outside of what it gives then."""
        value = candidate.results[0]
        read = (self._reads - {value}) | (set(candidate.operands) - self._members.keys())
        definers = [self._latest_number, *map(operation_of, read)]
        reads = [_Place(op) for op in definers if op is not None and op.block == self._block]
        if not reads:
            return True
        latest = max(reads)
        users = (user for user in self._users_of(value) if not is_in(user, self._members))
        uses = (_Place(in_block(user, self._block)) for user in users)
        return all(latest < use for use in itertools.chain(self._earliest_use(candidate), uses))

    def _earliest_use(self, besides: ir.Operation) -> list[_Place]:
        """The first op outside, but for this one, that uses a value of the group."""
        while self._uses and is_in(self._uses[0].operation, self._members):
            heapq.heappop(self._uses)
        if not self._uses or self._uses[0].operation != besides:
            return self._uses[:1]
        own = [heapq.heappop(self._uses)]
        while self._uses and self._uses[0].operation == besides:
            own.append(heapq.heappop(self._uses))
        following = self._earliest_use(besides)
        for use in own:
            heapq.heappush(self._uses, use)
        return following

    def _can_read(self, candidate: ir.Operation, skipped: Container[ir.Value]) -> bool:
        """Whether `candidate`, which uses a value of the group, can be computed there."""
        value, reads = candidate.results[0], self._reads_with(candidate)
        return (
            (self._is_stored(value) or self._stays_inside(value, skipped))
            and all(self._is_stored(read) for read in reads if read not in self._reads)
            and len(reads) < MOST_BINDINGS
            and self._has_place(candidate)
        )

    def _can_give(self, last: ir.Value, several_results: bool) -> bool:
        """Whether the group can end with the op that computes `last`."""
        if not several_results:
            return self._given.keys() <= {last} and self._is_stored(last)
        return len(self._given) + len(self._reads) <= MOST_BINDINGS and all(map(self._is_stored, self._given))

    def _costs_more(self, candidate: ir.Operation, skipped: Container[ir.Value], costly: Container[ir.Value]) -> bool:
        """Whether joining saves a second read of stored values only, and that costs more.

        All that `candidate` reads of the group has to be stored in either case then. It is one of `costly`, or it reads
        something else that stays in registers where nothing but `candidate` uses it.
        """
        if any(value in self._members and self._stays_inside(value, skipped) for value in candidate.operands):
            return False
        if candidate.results[0] in costly:
            return True
        producers = [operation_of(value) for value in candidate.operands if value not in self._members]
        return any(producer is not None and self._ends_in_registers(producer) for producer in producers)

    def _ends_in_registers(self, producer: ir.Operation) -> bool:
        """Whether the only op that uses what `producer` computes may be fused with it."""
        if producer.block != self._block or len(producer.results) != 1 or producer.results[0] in self._constant:
            return False
        value = producer.results[0]
        is_fused = producer.name in fusing_roots() or is_fusible(producer, self._shape)
        return is_fused and shape_of(value) == self._shape and len(self._users_of(value)) == 1

    def _stays_inside(self, value: ir.Value, skipped: Container[ir.Value]) -> bool:
        """Whether all that uses `value` has joined or may join."""
        users = [user for user in self._users_of(value) if not is_in(user, self._members)]
        return all(self._may_join(user) and user.results[0] not in skipped for user in users)
