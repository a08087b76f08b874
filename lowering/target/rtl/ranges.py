"""What the registers and memories of a circuit hold at most: sums of integers need fewer bits than their type has.

A register that is set now and then and added to meanwhile holds no more than it was set to, plus all that is added in
between, which counters tell. Pure functions of the circuit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from terrace.lowering.target.rtl.circuit import (
    Branch,
    Circuit,
    Counter,
    Loop,
    Memory,
    Node,
    Pipeline,
    Register,
    Segment,
    Step,
    Store,
    Write,
    behind,
)
from terrace.lowering.target.rtl.latency import evaluate
from terrace.lowering.target.rtl.values import conjuncts, fits

MOST_WAYS = 16
"""The most ways in which a register is written that are told apart."""

Span = tuple[int, int]
Literal = tuple[Node, bool]
"""A condition, and whether it holds."""


@dataclasses.dataclass(frozen=True)
class _Way:
    """One way in which a register is written: it is set to a number in `span`, or a number in `span` is added."""

    path: tuple[Counter, ...]
    adds: bool
    span: Span
    literals: frozenset[Literal]


def spans_of(circuit: Circuit) -> dict[str, Span]:
    """The ranges of registers and memories that need fewer bits than they have, by name."""
    return _Ranges(circuit).run()


class _Ranges:
    """The ranges in one circuit."""

    def __init__(self, circuit: Circuit) -> None:
        self.writes: dict[Register, list[tuple[tuple[Counter, ...], Write]]] = {}
        self.unknown: set[Register] = set()
        self.stores: dict[Memory, list[Node]] = {}
        self.known: dict[Register, Span | None] = {}
        self.collect(circuit.steps, (), False)

    def collect(self, steps: Sequence[Step], path: tuple[Counter, ...], is_branch: bool) -> None:
        """All writes and stores, and the loops around each; a write in a branch may not take place."""
        for step in steps:
            if isinstance(step, Loop):
                self.collect(step.steps, (*path, step.counter), is_branch)
            elif isinstance(step, Branch):
                self.collect([*step.then, *step.otherwise], path, True)
            else:
                around = (*path, *step.counters) if isinstance(step, Pipeline) else path
                self.collect_actions(step.body if isinstance(step, Pipeline) else step, around, is_branch)

    def collect_actions(self, segment: Segment, path: tuple[Counter, ...], is_branch: bool) -> None:
        for action in segment.actions:
            if isinstance(action, Write):
                self.writes.setdefault(action.register, []).append((path, action))
                if is_branch:
                    self.unknown.add(action.register)
            elif isinstance(action, Store) and action.memory.argument is None:
                self.stores.setdefault(action.memory, []).append(action.data)

    def run(self) -> dict[str, Span]:
        found = {register.name: self.register(register) for register in self.writes}
        for memory, data in self.stores.items():
            found[memory.name] = _hull([self.value(node) for node in data])
        widths = {register.name: register.width for register in self.writes}
        widths |= {memory.name: memory.width for memory in self.stores}
        return {name: span for name, span in found.items() if span is not None and widths[name] > 1}

    # -- what a value is ------------------------------------------------------------------------------------------

    def value(self, node: Node) -> Span:
        """The range of a value: what it says, or better, what the registers hold that it chooses among."""
        if node.op == "read":
            found = self.register(node.detail[0])
            return found if found is not None else (node.low, node.high)
        if node.op == "sext" and node.inputs[0].width > 1:
            return self.value(node.inputs[0])
        if node.op == "mux":
            return _hull([self.value(n) for n in node.inputs[1:]])
        return node.low, node.high

    def register(self, register: Register) -> Span | None:
        """The range of what a register holds; None if it is not known."""
        if register not in self.known:
            self.known[register] = None
            found = None if register in self.unknown else self.bounded(register)
            self.known[register] = found if found is not None and fits(found, register.width) else None
        return self.known[register]

    # -- how a register is written --------------------------------------------------------------------------------

    def bounded(self, register: Register) -> Span | None:
        if register.width == 1 or register not in self.writes:
            return None
        ways: list[_Way] = []
        for path, write in self.writes[register]:
            found = list(self.ways(write.data, register, _literals(write.enable, True)))
            if not found or len(found) > MOST_WAYS:
                return None
            ways += [_Way(path, adds, span, literals) for adds, span, literals in found]
        sets = [way for way in ways if not way.adds]
        adds = [way for way in ways if way.adds and way.span != (0, 0)]
        if not sets:
            return None
        low, high = _hull([way.span for way in sets])
        totals = [total for way in sets if (total := _added(way, adds)) is not None]
        if not totals:
            return None
        least = min(totals, key=lambda total: total[1] - total[0])
        return low + least[0], high + least[1]

    def ways(
        self, node: Node, register: Register, literals: frozenset[Literal]
    ) -> Iterator[tuple[bool, Span, frozenset[Literal]]]:
        """How what is written is made of what the register holds; nothing for another way than by a sum."""
        if not any(n.op == "read" and n.detail[0] is register for n in behind(node, ())):
            yield False, self.value(node), literals
        elif node.op == "read":
            yield True, (0, 0), literals
        elif node.op == "sext" or (node.op == "part" and node.detail == 0 and node.width >= register.width):
            yield from self.ways(node.inputs[0], register, literals)
        elif node.op == "mux":
            for value, holds in zip(node.inputs[1:], (True, False), strict=True):
                found = list(self.ways(value, register, literals | _literals(node.inputs[0], holds)))
                yield from found or [(True, _UNBOUNDED, literals)]
        elif node.op == "add":
            first, second = node.inputs
            if any(n.op == "read" and n.detail[0] is register for n in behind(second, ())):
                first, second = second, first
            low, high = self.value(second)
            found = list(self.ways(first, register, literals))
            if any(n.op == "read" and n.detail[0] is register for n in behind(second, ())) or not found:
                yield True, _UNBOUNDED, literals
            for adds, span, own in found:
                yield adds, (span[0] + low, span[1] + high), own
        else:
            yield True, _UNBOUNDED, literals


_UNBOUNDED = -(1 << 128), 1 << 128
"""More than any register holds."""


def _hull(spans: Sequence[Span]) -> Span:
    return min(low for low, _ in spans), max(high for _, high in spans)


def _literals(condition: Node, holds: bool) -> frozenset[Literal]:
    """What is known where a condition holds, or does not."""
    known = conjuncts(condition) if holds else frozenset([condition])
    return frozenset((node, holds) for node in known if node.op != "constant")


def _added(way: _Way, adds: Sequence[_Way]) -> Span | None:
    """What is added at most between two times that a register is set in this way; None if that is not known."""
    low = high = 0
    for add in adds:
        times = _times(way, add)
        if times is None:
            return None
        low, high = low + times * min(0, add.span[0]), high + times * max(0, add.span[1])
    return low, high


def _times(way: _Way, add: _Way) -> int | None:
    """How often is added at most between two times that a register is set."""
    own = way.literals - add.literals
    if way.literals == own == frozenset():
        # Each iteration of the loops around both sets it.
        if way.path == add.path[: len(way.path)]:
            return math.prod(counter.trips for counter in add.path[len(way.path) :])
        return None
    if way.path != add.path:
        return None
    places = [_places(node, way.path) for node, _ in own]
    common = [_places(node, way.path) for node, _ in way.literals & add.literals]
    if any(found is None for found in [*places, *common]) or not all(map(_may_hold, own)):
        return None
    first = min((min(found) for found in places if found), default=len(way.path))
    # Each run through the counters from the first one on has an iteration that sets it, if any of its iterations adds.
    seen: set[int] = set()
    for found in places:
        if found is None or len(found) != 1 or seen & found:
            return None
        seen |= found
    if any(found and max(found) >= first for found in common):
        return None
    return math.prod(counter.trips for counter in way.path[first:])


def _places(node: Node, path: Sequence[Counter]) -> set[int] | None:
    """The places in a path of the counters that a value is made of; None if it is made of anything else."""
    leaves = [n for n in behind(node, ()) if not n.inputs and n.op != "constant"]
    if any(n.op != "counter" or n.detail not in path for n in leaves):
        return None
    return {path.index(n.detail) for n in leaves}


def _may_hold(literal: Literal) -> bool:
    """Whether a condition on one counter holds for one of its values."""
    node, holds = literal
    counters = {n.detail for n in behind(node, ()) if n.op == "counter"}
    if len(counters) != 1:
        return False
    (counter,) = counters
    return any(evaluate(node, {counter: value}) == int(holds) for value in counter.values)
