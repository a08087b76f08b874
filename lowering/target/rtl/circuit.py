"""A kernel as a circuit: values, registers, memories, and the steps that a controller takes through them.

A `Node` is a value on a wire. A `Segment` is straight-line work: memory accesses and register writes, each in a cycle
that the scheduler gives it. Loops, pipelines and branches nest segments; one step runs after the other.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container, Iterator, Sequence
from typing import Any

from terrace.mlir import ir


@dataclasses.dataclass(eq=False)
class Counter:
    """The index of a loop: from `first`, `trips` times, by `step`."""

    name: str
    first: int
    step: int
    trips: int

    @property
    def last(self) -> int:
        return self.first + (self.trips - 1) * self.step

    @property
    def values(self) -> range:
        return range(self.first, self.first + self.trips * self.step, self.step)


@dataclasses.dataclass(eq=False)
class Register:
    """A value that stays until it is written again; a write shows one cycle later."""

    name: str
    width: int
    span: tuple[int, int] | None = None
    """The range of what it holds, if it is known to be less than all of the width."""


@dataclasses.dataclass(eq=False, repr=False)  # A graph has more paths than a printer should walk.
class Node:
    """A value of `width` bits, a two's complement number in `low`..`high`; unsigned if `low` is not negative.

    `detail` is what `op` needs beside inputs: the number of a constant, the counter or register that is read, the
    coefficients of a linear sum, a predicate. `home` is the segment whose cycle it depends on; None for a value of
    counters alone. `number` orders values as they were made.
    """

    op: str
    width: int
    inputs: tuple[Node, ...] = ()
    detail: Any = None
    low: int = 0
    high: int = 0
    home: Segment | None = None
    number: int = 0


def behind(node: Node, known: Container[Node]) -> list[Node]:
    """A value and those that it is made of, as far as they are not known, in the order in which they were made: an
    operand before its reader. Circuits are deeper than Python recurses.
    """
    found, pending = set[Node](), [node]
    while pending:
        other = pending.pop()
        if other not in found and other not in known:
            found.add(other)
            pending += other.inputs
    return sorted(found, key=lambda other: other.number)


@dataclasses.dataclass(frozen=True)
class Linear:
    """A sum of values times integers, plus an integer: what an index of memory is."""

    terms: tuple[tuple[Node, int], ...] = ()
    constant: int = 0

    @staticmethod
    def of(factors: dict[Node, int], constant: int) -> Linear:
        kept = [(node, factor) for node, factor in factors.items() if factor]
        return Linear(tuple(sorted(kept, key=lambda term: term[0].number)), constant)

    def plus(self, other: Linear, times: int = 1) -> Linear:
        factors = dict(self.terms)
        for node, factor in other.terms:
            factors[node] = factors.get(node, 0) + times * factor
        return Linear.of(factors, self.constant + times * other.constant)

    def times(self, number: int) -> Linear:
        return Linear.of({node: factor * number for node, factor in self.terms}, self.constant * number)

    @property
    def low(self) -> int:
        return self.constant + sum(f * (n.low if f > 0 else n.high) for n, f in self.terms)

    @property
    def high(self) -> int:
        return self.constant + sum(f * (n.high if f > 0 else n.low) for n, f in self.terms)


@dataclasses.dataclass(eq=False)
class Memory:
    """An array in banks, each with a port to read and a port to write in a cycle; what is read comes a cycle later.

    `argument` is the number of the kernel's argument, None for an array of its own. Dimension `dim` is cut in `banks`
    parts, `kind` "cyclic" or "block". A bank is there `copies` times, each with a port to read. `contents` are the
    elements of one that is never written, each in `width` bits; it has as many copies as are read at once.
    """

    name: str
    shape: tuple[int, ...]
    width: int
    argument: int | None = None
    kind: str = "cyclic"
    dim: int = 0
    banks: int = 1
    copies: int = 1
    contents: tuple[int, ...] = ()
    span: tuple[int, int] | None = None
    """The range of the elements, if it is known to be less than all of the width."""

    @property
    def depth(self) -> int:
        """Elements of a bank."""
        return max(1, math.prod(self.shape) // self.banks)

    @property
    def is_flat(self) -> bool:
        """Whether banks go over rows: the flat number of an element tells its bank."""
        is_last = self.kind == "cyclic" and self.dim == len(self.shape) - 1
        return is_last and self.shape[-1] % self.banks != 0

    @property
    def address_width(self) -> int:
        return max(1, (self.depth - 1).bit_length())

    @property
    def split(self) -> tuple[int, int]:
        """The sizes of the dimension that is cut and of what lies inside an element of it; all elements in a row where
        banks go over rows.
        """
        if not self.shape or self.is_flat:
            return math.prod(self.shape), 1
        return self.shape[self.dim], math.prod(self.shape[self.dim + 1 :])

    def place_of(self, number: int) -> tuple[int, int]:
        """The bank of an element by its flat number, and its address; `indexing.place_of` makes values of them."""
        size, inner = self.split
        part = size // self.banks
        outer, cut, within = number // inner // size, number // inner % size, number % inner
        bank, at = (cut % self.banks, cut // self.banks) if self.kind == "cyclic" else divmod(cut, part)
        return bank, (outer * part + at) * inner + within


@dataclasses.dataclass(eq=False)
class RegisterArray:
    """An array whose every element is a register."""

    shape: tuple[int, ...]
    elements: list[Register]
    width: int
    """The bits of an element in the program; registers have no more than they need."""


@dataclasses.dataclass(eq=False)
class Load:
    """Reads banks of a memory, all at one address; `nodes` are their values."""

    memory: Memory
    flat: Linear
    banks: tuple[int, ...]
    address: Node
    nodes: list[Node] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class Store:
    """Writes `data` to a bank where `enable`."""

    memory: Memory
    flat: Linear
    bank: int
    address: Node
    data: Node
    enable: Node


@dataclasses.dataclass(eq=False)
class Write:
    """Writes `data` to a register where `enable`."""

    register: Register
    data: Node
    enable: Node


Action = Load | Store | Write


def needs(action: Action) -> tuple[Node, ...]:
    """The values that an action takes."""
    if isinstance(action, Load):
        return (action.address,)
    if isinstance(action, Store):
        return (action.address, action.data, action.enable)
    return (action.data, action.enable)


@dataclasses.dataclass(eq=False)
class Segment:
    """Straight-line work, in the order of the program."""

    name: str
    actions: list[Action] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class Loop:
    """Runs its steps for each value of its counter, one iteration after the other."""

    name: str
    counter: Counter
    steps: list[Step]


@dataclasses.dataclass(eq=False)
class Pipeline:
    """Starts an iteration of its segment every `wanted` cycles, or as many more as its dependences need.

    Its `counters` are those of a nest of loops, the innermost last.
    """

    name: str
    counters: tuple[Counter, ...]
    wanted: int
    body: Segment
    operation: ir.Operation

    @property
    def trips(self) -> int:
        return math.prod(counter.trips for counter in self.counters)


@dataclasses.dataclass(eq=False)
class Branch:
    """Runs one list of steps or the other; one that is empty takes a cycle."""

    name: str
    condition: Node
    then: list[Step]
    otherwise: list[Step]
    operation: ir.Operation


Step = Segment | Loop | Pipeline | Branch


@dataclasses.dataclass(eq=False)
class Circuit:
    """A kernel: its memories, those of its arguments first, and its steps."""

    name: str
    memories: list[Memory]
    steps: list[Step]

    @property
    def arguments(self) -> list[Memory]:
        return [memory for memory in self.memories if memory.argument is not None]


def segments(steps: Sequence[Step]) -> Iterator[Segment]:
    """All segments, in order."""
    for step in steps:
        if isinstance(step, Segment):
            yield step
        elif isinstance(step, Pipeline):
            yield step.body
        elif isinstance(step, Loop):
            yield from segments(step.steps)
        else:
            yield from segments(step.then)
            yield from segments(step.otherwise)


def pipelines(steps: Sequence[Step]) -> Iterator[Pipeline]:
    """All pipelines, in order."""
    for step in steps:
        if isinstance(step, Pipeline):
            yield step
        elif isinstance(step, Loop):
            yield from pipelines(step.steps)
        elif isinstance(step, Branch):
            yield from pipelines(step.then)
            yield from pipelines(step.otherwise)
