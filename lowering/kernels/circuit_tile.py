"""Tiles of circuits: small, as each element is a register and each operation a unit.

A tile's sizes divide what they tile wherever they can: a tail would be a second circuit. A tile of integers is what is
computed at once; of several that a kernel may have, `cost_of_circuit` tells what they take.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping

from terrace.dialects.graph_macs import macs_of
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine

COLUMNS = 16
"""Accumulators of a contraction of floats: the width that is unrolled, if there are multipliers enough."""

ROW = 32
"""Elements of a row of floats that are worked on together where they are only passed through."""

PAUSE = 12
"""About as many cycles as two pipelines take to fill, which a tile costs beside its steps and its results."""

SCALES = {"graph.mul": 1, "graph.requantize": 1, "graph.scaled_add": 2}
"""Products of an element of the ops that may follow a sum."""

ROWS = {"graph.integer_layer_norm": (2, 200), "graph.integer_softmax": (1, 48)}
"""Products of an element, and cycles of a row beside three for each of its elements where it is worked on by itself:
divisions, and a root.
"""


@dataclasses.dataclass(frozen=True, order=True)
class CircuitCost:
    """What a kernel of integers takes in hardware, estimated: cycles between two results of it, multipliers, and
    elements of its first operand that are read at once.
    """

    cycles: int
    multipliers: int
    reads: int = 1


def is_of_integers(kernel: KernelView) -> bool:
    """Whether a kernel has no floating point, so that its tiles are computed at once."""
    return all(type_.kind != "float" for type_ in kernel.types)


def divisor(size: int, limit: int) -> int:
    """The largest divisor of `size` up to `limit`; `limit` itself if that is less than a quarter of it."""
    best = max(d for d in range(1, min(size, limit) + 1) if size % d == 0)
    return best if 4 * best >= min(size, limit) else min(size, limit)


def divisors(size: int, limit: int) -> list[int]:
    """The divisors of `size` up to `limit`, the largest first."""
    return [d for d in range(min(size, limit), 0, -1) if size % d == 0]


def parts_of_axis(size: int, limit: int) -> list[int]:
    """How many elements of an axis of a matrix are worked on at once, the most first: powers of two that divide it, or
    all. Then kernels beside a buffer agree on its banks.
    """
    return [d for d in divisors(size, limit) if d == size or d & (d - 1) == 0]


def tiles_of_circuit(
    space: IterationSpace, choices: Mapping[str, Iterable[int]], always: Mapping[str, int] | None = None
) -> Iterator[dict[str, int]]:
    """Tiles with all combinations of sizes of some dimensions, and what they have in any case.

    Loops over tiles are ordered by their counts, the longest innermost: what a pipeline does once for each of the
    others is done seldom then.
    """
    for sizes in itertools.product(*choices.values()):
        tile = {**(always or {}), **dict(zip(choices, sizes, strict=True))}
        names = [name for name, kind in zip(space.names, space.kinds, strict=True) if kind == "parallel"]
        order = sorted((n for n in names if n in tile), key=lambda name: space.size(name) // tile[name])
        yield {**{name: tile[name] for name in order}, **tile}


def lanes_of(tiles: int, steps: int, results: int, row: int, are_adjacent: bool = False) -> int | None:
    """How many results of a tile are finished in a step of the next tile's sums: parts of a `row`, which are beside
    each other in memory, or 1, 2, 4, ... rows, if these are, too.

    None where steps are too few, or where tiles lose less without `overlap-epilogues` than the one tile more takes.
    """
    if results < 2 or steps >= tiles * (results + PAUSE):
        return None
    parts = [1 << more for more in range(row.bit_length()) if row % (1 << more) == 0]
    rows = [row << more for more in range(results.bit_length()) if results % (row << more) == 0]
    lanes = sorted({*parts, *rows} if are_adjacent else parts)
    return next((count for count in lanes if count * steps >= results), None)


def cost_of_circuit(kernel: KernelView, schedule: Schedule) -> CircuitCost:
    """What a kernel of integers takes in hardware.

    A pipeline goes over its tiles, and one tile more to finish the last (`overlap-epilogues`). Where that does not pay,
    or a tile is one element, each is summed, then finished. A tile that is summed at once is finished at once.
    """
    of_rows = next((ROWS[op.name] for op in kernel.operations if op.name in ROWS), None)
    if of_rows is not None:
        return _cost_of_rows(kernel, schedule, *of_rows)
    space, tile = kernel.space, schedule.cut("register").sizes
    at_once = {name: tile.get(name, 1) for name in space.names}
    counts = {name: -(-space.size(name) // size) for name, size in at_once.items()}
    kinds = dict(zip(space.names, space.kinds, strict=True))
    steps = math.prod(count for name, count in counts.items() if kinds[name] == "reduction")
    tiles = math.prod(count for name, count in counts.items() if kinds[name] == "parallel")
    results = math.prod(size for name, size in at_once.items() if kinds[name] == "parallel")
    lanes = results
    cycles = tiles + PAUSE
    if steps > 1:
        inner = max((count for name, count in counts.items() if kinds[name] == "parallel"), default=1)
        row, size = _row_of_result(space, at_once)
        found = lanes_of(inner, steps, results, row, row == size)
        lanes = found or 1
        own = (inner + 1) * steps if found is not None else inner * (steps + results + 2 * PAUSE)
        cycles = tiles // inner * own + PAUSE
    products = math.prod(at_once.values()) if any(map(macs_of, kernel.operations)) else 0
    scaled = sum(SCALES.get(op.name, 0) for op in kernel.operations)
    reads = space.footprint(0, at_once) if space.accesses else math.prod(at_once.values())
    return CircuitCost(cycles, products + lanes * scaled, reads)


def _cost_of_rows(kernel: KernelView, schedule: Schedule, products: int, pause: int) -> CircuitCost:
    """What rows of softmax or layer norm take: each by itself, or one behind the other in a pipeline."""
    space, last = kernel.space, kernel.space.names[-1]
    at_once, size = schedule.tile(last), space.size(last)
    rows = math.prod(s for s, kind in zip(space.sizes, space.kinds, strict=True) if kind == "parallel")
    products += sum(SCALES.get(op.name, 0) for op in kernel.operations)
    cycles = rows + PAUSE if at_once == size else rows * (3 * size + pause)
    return CircuitCost(cycles, products * at_once, at_once)


def _row_of_result(space: IterationSpace, at_once: Mapping[str, int]) -> tuple[int, int]:
    """How much of the result's last axis a tile has, and the size of the axis."""
    if space.accesses:
        last = space.accesses[-1][-1]
        return last.span(at_once), last.span(space.known())
    name = [name for name, kind in zip(space.names, space.kinds, strict=True) if kind == "parallel"][-1]
    return at_once[name], space.size(name)


def rows_of_circuit(kernel: KernelView, machine: CircuitMachine) -> Schedule:
    """Elementwise kernels and copies, and rows of softmax and norms: parts of the last dimension, of integers one
    element at a time.
    """
    last = kernel.space.names[-1]
    floats = Schedule.of({last: divisor(kernel.space.size(last), ROW)})
    return floats if not is_of_integers(kernel) else Schedule.of({last: 1})


def whole_rows_of_circuit(kernel: KernelView, chosen: Schedule, machine: CircuitMachine) -> Iterator[Schedule]:
    """One element of a row of a softmax or norm after the other, or the row at once, which makes a pipeline of the
    kernel: one row after the other goes in.
    """
    last = kernel.space.names[-1]
    yield from (Schedule.of({last: size}) for size in (1, kernel.space.size(last)) if size <= machine.widest)


def other_rows_of_circuit(kernel: KernelView, chosen: Schedule, machine: CircuitMachine) -> Iterator[Schedule]:
    """Several elements of the last dimension at a time."""
    last = kernel.space.names[-1]
    yield from (Schedule.of({last: size}) for size in divisors(kernel.space.size(last), machine.widest))
