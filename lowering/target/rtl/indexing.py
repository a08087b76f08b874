"""Where an element of an array is: its flat number, its bank, its address there; division of indices for that."""

from __future__ import annotations

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
    return as_linear(_divided(values, "divide", index, by, span))


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
    return as_linear(_divided(values, "remainder", index, by, span))


def _divided(values: Values, op: str, index: Linear, by: int, span: tuple[int, int]) -> Node:
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


def bank_and_address(
    values: Values, memory: Memory, indices: Sequence[Linear], bounds: Bounds = ()
) -> tuple[Linear, Linear]:
    """Which bank of a memory an element is in, and where, if some indices are below a number."""
    if memory.banks == 1:
        return Linear(), flat(memory.shape, indices)
    shape, dim = list(memory.shape), memory.dim
    if memory.is_flat:
        indices, shape, dim = [flat(shape, indices)], [math.prod(shape)], 0
    size = shape[dim] // memory.banks
    cut, by = indices[dim], memory.banks if memory.kind == "cyclic" else size
    if all(factor % by == 0 for _, factor in cut.terms):
        whole = Linear.of({n: f // by for n, f in cut.terms}, cut.constant // by)
        rest = Linear((), cut.constant % by)
    elif (near := _near(cut, by, bounds)) is not None:
        whole, rest = near
    else:
        # An index that may be negative is so where a condition keeps it from being used; division wants it not.
        more = max(0, -(cut.low // by))
        positive = cut.plus(Linear((), more * by))
        whole = quotient(values, positive, by).plus(Linear((), -more))
        rest = remainder(values, positive, by)
    bank, within = (rest, whole) if memory.kind == "cyclic" else (whole, rest)
    shape[dim] = size
    return bank, flat(shape, [within if axis == dim else index for axis, index in enumerate(indices)])
