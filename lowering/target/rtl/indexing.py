"""Where an element of an array is: its flat number, its bank, its address there; division of indices for that."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from terrace.lowering.target.rtl.circuit import Linear, Memory, Node
from terrace.lowering.target.rtl.values import Values


def as_linear(node: Node) -> Linear:
    """A value as an index."""
    return Linear((), node.detail) if node.op == "constant" else Linear(((node, 1),))


def flat(shape: Sequence[int], indices: Sequence[Linear]) -> Linear:
    """The number of an element in row-major order."""
    total = Linear()
    for axis, index in enumerate(indices):
        total = total.plus(index, math.prod(shape[axis + 1 :]))
    return total


def quotient(values: Values, index: Linear, by: int) -> Linear:
    """index / by, rounded down, of an index that is not negative."""
    if not index.terms or by == 1:
        return index if by == 1 else Linear((), index.constant // by)
    span = (index.low // by, index.high // by)
    whole = values.linear(index)
    if by & (by - 1) == 0:
        return as_linear(values.make("part", max(1, span[1].bit_length()), (whole,), by.bit_length() - 1, span))
    return as_linear(_division(values, "divide", index, by, span))


def remainder(values: Values, index: Linear, by: int) -> Linear:
    """index modulo by, of an index that is not negative."""
    if not index.terms or by == 1:
        return Linear((), index.constant % by if by > 1 else 0)
    span = (0, min(by - 1, index.high))
    if by & (by - 1) == 0:
        bits = by.bit_length() - 1
        return as_linear(
            values.make("part", bits, (values.linear(index, max(bits, index.high.bit_length())),), 0, span)
        )
    return as_linear(_division(values, "remainder", index, by, span))


def _division(values: Values, op: str, index: Linear, by: int, span: tuple[int, int]) -> Node:
    width = max(index.high.bit_length(), by.bit_length())
    return values.make(op, width, (values.linear(index, width), values.constant_of(by, width)), None, span)


Bounds = Sequence[tuple[Linear, int]]
"""Indices that are known to be below a number."""


def _near(index: Linear, by: int, bounds: Bounds) -> tuple[Linear, Linear] | None:
    """index / by and its rest, where what is no multiple of `by` stays within one of its multiples; None elsewhere."""
    rest = Linear.of({n: f for n, f in index.terms if f % by}, index.constant % by)
    high = min([rest.high, *(found for bound in bounds if (found := _high(rest, *bound)) is not None)])
    if rest.low < 0 or high >= by:
        return None
    return Linear.of({n: f // by for n, f in index.terms if f % by == 0}, index.constant // by), rest


def _high(index: Linear, bounded: Linear, end: int) -> int | None:
    """The largest that an index is which is a bounded one times a number, and a constant; None if it is not."""
    if not index.terms or not bounded.terms or index.terms[0][1] % bounded.terms[0][1]:
        return None
    times = index.terms[0][1] // bounded.terms[0][1]
    rest = index.plus(bounded, -times)
    return None if rest.terms or times < 0 else times * (end - 1) + rest.constant


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an element of a memory is: in the one of `banks` whose number there is `which`, at `address`."""

    banks: tuple[int, ...]
    which: Linear
    address: Linear


def place_of(values: Values, memory: Memory, indices: Sequence[Linear], bounds: Bounds = ()) -> Place:
    """Where an element of a memory is, if some indices are below a number.

    What all terms of an index are a multiple of tells a part of its cyclic bank, so that few banks are left.
    """
    if memory.banks == 1:
        return Place((0,), Linear(), flat(memory.shape, indices))
    shape, dim = list(memory.shape), memory.dim
    if memory.is_flat:
        indices, shape, dim = [flat(shape, indices)], [math.prod(shape)], 0
    size, cut = shape[dim] // memory.banks, indices[dim]
    if memory.kind == "cyclic":
        common = math.gcd(memory.banks, *(factor for _, factor in cut.terms))
        first = cut.constant % common
        rest = Linear.of({n: f // common for n, f in cut.terms}, cut.constant // common)
        banks = tuple(range(first, memory.banks, common))
        within, which = _divided(values, rest, len(banks), bounds)
    else:
        banks = tuple(range(memory.banks))
        which, within = _divided(values, cut, size, bounds)
    if not which.terms:
        banks, which = (banks[which.constant],), Linear()
    shape[dim] = size
    return Place(banks, which, flat(shape, [within if axis == dim else i for axis, i in enumerate(indices)]))


def _divided(values: Values, index: Linear, by: int, bounds: Bounds) -> tuple[Linear, Linear]:
    """index / by and its rest, without a division where that can be."""
    near = _near(index, by, bounds)
    if near is not None:
        return near
    # An index that may be negative is so where a condition keeps it from being used; division wants it not.
    more = max(0, -(index.low // by))
    positive = index.plus(Linear((), more * by))
    return quotient(values, positive, by).plus(Linear((), -more)), remainder(values, positive, by)
