"""Collapsing adjacent dimensions of a group's result: kernels have fewer dimensions, and more kernels are equal."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.graph_base import product

Partition = tuple[tuple[int, ...], ...]
"""The result's axes, in order, in runs that become one dimension each."""


def alignment(shape: Sequence[int], result: Sequence[int]) -> list[str]:
    """For each axis of `result`, how an operand of `shape` meets it: "full", "one" (broadcast) or "any" (size 1)."""
    skipped = len(result) - len(shape)
    kinds = []
    for axis, size in enumerate(result):
        own = shape[axis - skipped] if axis >= skipped else 1
        kinds.append("any" if size == 1 else "one" if own == 1 else "full")
    return kinds


def collapsible(kinds: Sequence[str]) -> bool:
    """Whether an operand meets all these axes in the same way."""
    return not ("full" in kinds and "one" in kinds)


def widest_partition(result: Sequence[int], operands: Sequence[Sequence[int]]) -> Partition:
    """The fewest runs such that every operand meets each run in one way."""
    aligned = [alignment(shape, result) for shape in operands]
    runs: list[list[int]] = []
    for axis in range(len(result)):
        if runs and all(collapsible([kinds[a] for a in [*runs[-1], axis]]) for kinds in aligned):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return tuple(tuple(run) for run in runs)


def collapse_shape(shape: Sequence[int], result: Sequence[int], partition: Partition) -> list[int] | None:
    """The shape of an operand after collapsing; None if it meets some run in two ways.

    Scalars stay scalars, unless the result is one, too: kernels have at least one dimension.
    """
    if not shape:
        return [] if result else [1] * len(partition)
    kinds = alignment(shape, result)
    collapsed = []
    for run in partition:
        if not collapsible([kinds[axis] for axis in run]):
            return None
        collapsed.append(product([result[axis] for axis in run]) if "full" in [kinds[a] for a in run] else 1)
    return collapsed
