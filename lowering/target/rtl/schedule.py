"""The static schedule of a circuit: in which cycle of its segment each value and action takes place.

As soon as possible, in the order of the program, within what memory ports, dependences and the clock allow; a pipeline
starts its iterations as often as it was asked to, or as its dependences let it. Pure functions of the circuit.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from terrace.lowering.target.rtl.circuit import (
    Action,
    Branch,
    Circuit,
    Counter,
    Load,
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
    needs,
    pipelines,
    segments,
)
from terrace.lowering.target.rtl.fabric import Fabric
from terrace.lowering.target.rtl.operators import cycles, delay


@dataclasses.dataclass
class SegmentSchedule:
    """When a segment does what: the cycle in which each value's operator starts, and of each action."""

    interval: int
    """Cycles from one iteration of a pipeline to the next; 0 if nothing overlaps."""

    start: dict[Node, int] = dataclasses.field(default_factory=dict)
    at: dict[Action, int] = dataclasses.field(default_factory=dict)
    copies: dict[Load, int] = dataclasses.field(default_factory=dict)
    """Which copy of its memory each load reads."""

    @property
    def depth(self) -> int:
        """Cycles from the first to the last, both counted."""
        return 1 + max(self.at[a] for a in self.at)

    def ready(self, node: Node) -> int:
        """The first cycle in which a value can be used."""
        return self.start[node] + cycles(node)


Schedule = Mapping[Segment, SegmentSchedule]


class _Conflict(Exception):
    """The interval is too short for a dependence between iterations."""


class _TooEarly(_Conflict):
    """An iteration reads a register before the one before has written it; it may read it from a cycle on."""

    def __init__(self, register: Register, cycle: int) -> None:
        super().__init__()
        self.register, self.cycle = register, cycle


def live_actions(circuit: Circuit) -> dict[Segment, list[Action]]:
    """What each segment does that matters: loads that are used, writes of registers that are read."""
    live: dict[Segment, list[Action]] = {segment: [] for segment in segments(circuit.steps)}
    read: set[Register] = set()
    used: set[Load] = set()
    seen: set[Node] = set()

    def visit(node: Node) -> None:
        new = behind(node, seen)
        seen.update(new)
        for other in new:
            if other.op == "read":
                read.add(other.detail[0])
            elif other.op == "loaded" and other.detail[0] not in used:
                used.add(other.detail[0])
                visit(other.detail[0].address)

    for condition in conditions(circuit.steps):
        visit(condition)
    kept: set[Action] = set()
    while True:
        before = len(kept)
        for segment in live:
            for action in segment.actions:
                is_seen = isinstance(action, Store) or (isinstance(action, Write) and action.register in read)
                if is_seen and action not in kept:
                    kept.add(action)
                    for node in needs(action):
                        visit(node)
        if len(kept) == before:
            break
    return {s: [a for a in s.actions if a in kept or a in used] for s in live}


def conditions(steps: list[Step]) -> list[Node]:
    """The conditions of all branches."""
    found: list[Node] = []
    for step in steps:
        if isinstance(step, Branch):
            found += [step.condition, *conditions(step.then), *conditions(step.otherwise)]
        elif isinstance(step, Loop):
            found += conditions(step.steps)
    return found


class Clock:
    """What fits in a cycle: gates that take `period` nanoseconds, of a fabric, for these actions of a circuit."""

    def __init__(self, fabric: Fabric, period: float, actions: Sequence[Action]) -> None:
        self.fabric, self.period = fabric, period
        accesses = [action for action in actions if not isinstance(action, Write)]
        self.accesses = collections.Counter((type(a), a.memory, bank) for a in accesses for bank in banks_of(a))
        self.writes = collections.Counter(action.register for action in actions if isinstance(action, Write))

    def port(self, action: Load | Store) -> float:
        """The nanoseconds from an access to its memory, through what chooses among the accesses of a port."""
        count = max(self.accesses[type(action), action.memory, bank] for bank in banks_of(action))
        port = self.fabric.read_port if isinstance(action, Load) else self.fabric.write_port
        return port(action.memory, count)

    def choice(self, register: Register) -> float:
        """The nanoseconds of what chooses among the writes of a register, which may wait for a condition without it."""
        return self.fabric.choice(self.writes[register])


class _Scheduler:
    """Schedules one segment at one interval.

    A value of counters and registers alone, by few gates, floats: it takes place in the first cycle that needs it. So
    an accumulator is read as late as can be, which lets iterations follow each other closely.
    """

    def __init__(
        self,
        actions: list[Action],
        counters: Sequence[Counter],
        interval: int,
        clock: Clock,
        not_before: Mapping[Register, int] | None = None,
    ) -> None:
        self.actions, self.counters, self.interval = actions, counters, interval
        self.clock, self.fabric, self.period = clock, clock.fabric, clock.period
        self.not_before = not_before or {}
        """The first cycles in which some registers are read."""
        self.result = SegmentSchedule(interval)
        self.time: dict[Node, float] = {}
        """Nanoseconds into its cycle when a value is there."""
        self.floating: set[Node] = set()
        self.busy: set[tuple[Memory, int, int, int]] = set()
        """Ports that are taken: memory, bank, copy (-1 to write), cycle modulo the interval."""
        self.reads: dict[Register, list[Node]] = {}

    def run(self) -> SegmentSchedule:
        writes = [a for a in self.actions if isinstance(a, Write)]
        for action in self.actions:
            if not isinstance(action, Write):
                self.place(action)
        for action in writes:
            for node in needs(action):
                self.visit(node)
        for action in writes:
            cycle = self.earliest(needs(action), self.clock.choice(action.register))
            self.put(action, max(cycle, self.last_read(action.register)))
        # What the writes themselves read has its cycle now, too; a register is not overwritten before.
        for action in writes:
            self.result.at[action] = max(self.result.at[action], self.last_read(action.register))
        if self.interval:
            self.check_registers(writes)
            self.check_memories()
        return self.result

    def last_read(self, register: Register) -> int:
        """The last cycle in which a register is read, of those known."""
        return max((self.result.start.get(n, 0) for n in self.reads.get(register, ())), default=0)

    # -- values ---------------------------------------------------------------------------------------------------

    def visit(self, node: Node) -> None:
        """Give a value its cycle, and those that it is made of."""
        for each in behind(node, self.time):
            self.give_cycle(each)

    def give_cycle(self, node: Node) -> None:
        """The first cycle in which the operands are there and the gates of a value fit the clock."""
        if self.floats(node):
            return
        fixed = [n for n in node.inputs if n not in self.floating]
        start, gates = self.earliest(node.inputs), delay(node, self.fabric)
        time = max((self.time[n] for n in fixed if self.result.ready(n) == start), default=0.0)
        floating = max((self.time[n] for n in node.inputs if n in self.floating), default=0.0)
        if time and time + gates > self.period:
            start, time = start + 1, 0.0
        # What floats is registered first if it does not fit before these gates, or if an iteration waits for them.
        is_awaited = any(n.op == "read" and n.detail[0] in self.not_before for n in node.inputs)
        before = 1 if floating and (floating + gates > self.period or (is_awaited and start)) else 0
        if before > start:
            start, time = before, 0.0
        self.result.start[node] = start
        self.time[node] = 0.0 if cycles(node) else max(time, 0.0 if before else floating) + gates
        self.use(node.inputs, start - before)

    def floats(self, node: Node) -> bool:
        """Note and tell whether a value floats."""
        if node.op == "read":
            self.reads.setdefault(node.detail[0], []).append(node)
            if node.detail[0] in self.not_before:
                self.result.start[node], self.time[node] = self.not_before[node.detail[0]], 0.0
                return True
        if node.op == "counter":
            self.result.start[node] = 0
        time = max((self.time[n] for n in node.inputs), default=0.0) + delay(node, self.fabric)
        if cycles(node) or time > self.period / 2 or any(n not in self.floating for n in node.inputs):
            return False
        self.floating.add(node)
        self.time[node] = time
        return True

    def earliest(self, inputs: tuple[Node, ...], gates: float = 0.0) -> int:
        """The first cycle in which values are there, with so many nanoseconds left if they are made in that one."""
        fixed = (n for n in inputs if n not in self.floating)
        return max((self.result.ready(n) + (self.time[n] > self.period - gates) for n in fixed), default=0)

    def use(self, inputs: tuple[Node, ...], cycle: int) -> None:
        """Values that float are made in this cycle, if not before it."""
        for node in inputs:
            if node in self.floating and cycle < self.result.start.get(node, cycle + 1):
                self.result.start[node] = cycle
                self.use(node.inputs, cycle)

    def awaits(self, inputs: tuple[Node, ...], gates: float) -> int:
        """How many cycles before its gates what floats must be made: one if it does not fit before them."""
        return int(any(self.time[n] + gates > self.period for n in inputs if n in self.floating))

    def put(self, action: Action, cycle: int, before: int = 0) -> None:
        self.result.at[action] = cycle
        self.use(needs(action), cycle - before)

    # -- memories -------------------------------------------------------------------------------------------------

    def place(self, action: Load | Store) -> None:
        """The first cycle in which the operands and the port are there and memory holds what it should."""
        for node in needs(action):
            self.visit(node)
        gates = self.clock.port(action)
        before = self.awaits(needs(action), gates)
        cycle = max(self.earliest(needs(action), gates), before)
        for other, then in self.result.at.items():
            if isinstance(other, (Load, Store)) and may_meet(other, action):
                if isinstance(other, Store):
                    cycle = max(cycle, then + 1)
                elif isinstance(action, Store):
                    cycle = max(cycle, then)
        tried = 0
        while (copy := self.free(action, cycle)) is None:
            cycle, tried = cycle + 1, tried + 1
            if self.interval and tried == self.interval:
                raise _Conflict
        self.busy.update(self.slots(action, copy, cycle))
        self.put(action, cycle, before)
        if isinstance(action, Load):
            self.result.copies[action] = copy
            for node in action.nodes:
                self.result.start[node], self.time[node] = cycle, self.fabric.memory(action.memory)

    def slots(self, action: Load | Store, copy: int, cycle: int) -> list[tuple[Memory, int, int, int]]:
        """The ports that an access takes, in a cycle modulo the interval."""
        when = cycle % self.interval if self.interval else cycle
        return [(action.memory, bank, copy, when) for bank in banks_of(action)]

    def free(self, action: Load | Store, cycle: int) -> int | None:
        """The first copy whose ports an access can have in a cycle; -1 stands for the ports to write."""
        copies = itertools.count() if action.memory.contents else range(action.memory.copies)
        for copy in copies if isinstance(action, Load) else (-1,):
            if not self.busy.intersection(self.slots(action, copy, cycle)):
                return copy
        return None

    # -- between iterations ---------------------------------------------------------------------------------------

    def check_registers(self, writes: list[Write]) -> None:
        """What an iteration writes is there when the next one reads."""
        for action in writes:
            for node in self.reads.get(action.register, ()):
                if node in self.result.start and self.result.start[node] + self.interval <= self.result.at[action]:
                    raise _TooEarly(action.register, self.result.at[action] - self.interval + 1)

    def check_memories(self) -> None:
        found = [(a, cycle) for a, cycle in self.result.at.items() if isinstance(a, (Load, Store))]
        for first, at_first in found:
            for second, at_second in found:
                if isinstance(first, Load) and isinstance(second, Load):
                    continue
                distance = self.iterations_between(first, second)
                if distance is None:
                    continue
                gap = distance * self.interval + at_second - at_first
                if gap < (1 if isinstance(first, Store) else 0):
                    raise _Conflict

    def iterations_between(self, first: Load | Store, second: Load | Store) -> int | None:
        """The least number of iterations, 1 or more, after which `second` may meet what `first` meets now."""
        if first.memory is not second.memory or not set(banks_of(first)) & set(banks_of(second)):
            return None
        counter = self.counters[-1]
        if len(self.counters) > 1 or any(n.op != "counter" for a in (first, second) for n, _ in a.flat.terms):
            return 1
        factors = [sum(f for n, f in a.flat.terms if n.detail is counter) for a in (first, second)]
        rest = second.flat.plus(first.flat, -1)
        if rest.terms or factors[0] != factors[1]:
            return 1
        stride = factors[1] * counter.step
        if stride == 0:
            return 1 if rest.constant == 0 else None
        distance, remainder = divmod(-rest.constant, stride)
        return distance if remainder == 0 and 1 <= distance < counter.trips else None


def late_writes(times: Schedule) -> set[Memory]:
    """The arguments that are only written: what goes to their ports waits in a register, and comes a cycle later.

    So wires to memory, of which a buffer has several copies in several slots, have a cycle of their own.
    """
    accesses = [action for found in times.values() for action in found.at if not isinstance(action, Write)]
    read = {action.memory for action in accesses if isinstance(action, Load)}
    return {action.memory for action in accesses if action.memory.argument is not None} - read


def banks_of(access: Load | Store) -> tuple[int, ...]:
    return access.banks if isinstance(access, Load) else (access.bank,)


def may_meet(first: Load | Store, second: Load | Store) -> bool:
    """Whether two accesses of one iteration may be to the same element."""
    if first.memory is not second.memory or not set(banks_of(first)) & set(banks_of(second)):
        return False
    difference = second.flat.plus(first.flat, -1)
    return bool(difference.terms) or difference.constant == 0


def schedule(circuit: Circuit, fabric: Fabric, clock_mhz: float) -> dict[Segment, SegmentSchedule]:
    """The schedule of every segment that does anything, for FPGAs of a kind at a clock."""
    live = live_actions(circuit)
    clock = Clock(fabric, fabric.usable(clock_mhz), [action for actions in live.values() for action in actions])
    bodies = {p.body: p for p in pipelines(circuit.steps)}
    found: dict[Segment, SegmentSchedule] = {}
    for segment, actions in live.items():
        if not actions:
            continue
        pipeline = bodies.get(segment)
        if pipeline is None:
            found[segment] = _Scheduler(actions, (), 0, clock).run()
            continue
        found[segment] = _pipelined(actions, pipeline, clock)
    return found


def _pipelined(actions: list[Action], pipeline: Pipeline, clock: Clock) -> SegmentSchedule:
    """The schedule of a pipeline at the shortest interval for which there is one.

    A register that is read too early is read later, once; where what is written depends on that, it does not help.
    """
    interval, not_before = pipeline.wanted, dict[Register, int]()
    while True:
        try:
            return _Scheduler(actions, pipeline.counters, interval, clock, not_before).run()
        except _TooEarly as error:
            if error.register not in not_before:
                not_before[error.register] = error.cycle
                continue
        except _Conflict:
            pass
        interval, not_before = interval + 1, {}
