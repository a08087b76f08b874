"""Collapsing neighbouring dimensions of a group: kernels have fewer dimensions, and more kernels are equal.

It follows from where the group's tensors are read and written.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from terrace.dialects.graph_base import product
from terrace.lowering.kernels.iteration_space import Access, IterationSpace, along, axes_of

Partition = tuple[tuple[int, ...], ...]
"""A tensor's axes, in order, in runs that become one axis each."""


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


@dataclasses.dataclass(frozen=True)
class Collapse:
    """What becomes one in a group's kernel.

    `kinds` are those of the kernel's dimensions. `operands` and `result` say which axes of the root's operands and of
    the group's results become one.
    """

    kinds: tuple[str, ...]
    operands: tuple[Partition, ...]
    result: Partition

    @staticmethod
    def of(space: IterationSpace, tensors: Sequence[Sequence[int]], others: Sequence[Sequence[int]]) -> Collapse:
        """`tensors` are the shapes of the root's operands and of the result; `others` are read along the result."""
        if not space.accesses:
            each_axis = [tuple((axis,) for axis in range(len(shape))) for shape in tensors]
            return Collapse(space.kinds, tuple(each_axis[:-1]), each_axis[-1])
        runs = _runs(space, tensors[-1], others)
        kinds = dict(zip(space.names, space.kinds, strict=True))
        places = zip(space.accesses, tensors, strict=True)
        # Where all are scalars, the kernel has one dimension all the same.
        none: Partition = () if space.names else ((),)
        *operands, result = (_partition(access, len(shape), runs) or none for access, shape in places)
        return Collapse(tuple(kinds[run[0]] for run in runs), tuple(operands), result)


def is_collapsed(space: IterationSpace, tensors: Sequence[Sequence[int]]) -> bool:
    """Whether nothing becomes one, and no axis is missing, in a kernel whose root reads and gives such tensors."""
    return Collapse.of(space, tensors, ()) == Collapse.of(dataclasses.replace(space, accesses=()), tensors, ())


def _runs(space: IterationSpace, result: Sequence[int], others: Sequence[Sequence[int]]) -> list[tuple[str, ...]]:
    """The fewest runs of numbered dimensions, each of one name and kind, that every tensor meets in one way."""
    axes = [tuple(axis.steps) for axis in axes_of(space.accesses[-1], len(result))]
    aligned = [dict(zip(axes, alignment(shape, result), strict=True)) for shape in others]

    def meet_in_one_way(run: tuple[str, ...]) -> bool:
        return all(_has_run(access, run) for access in space.accesses) and all(
            collapsible([kinds.get((name,), "any") for name in run]) for kinds in aligned
        )

    runs: list[tuple[str, ...]] = []
    dims = zip(space.names, space.kinds, strict=True)
    for _, alike in itertools.groupby(dims, lambda dim: (dim[0].rstrip("0123456789"), dim[1])):
        first = len(runs)
        for name, _ in alike:
            if len(runs) > first and meet_in_one_way((*runs[-1], name)):
                runs[-1] += (name,)
            else:
                runs.append((name,))
    return runs


def _has_run(access: Access, run: tuple[str, ...]) -> bool:
    """Whether a tensor has these dimensions as neighbouring axes, in order, all or none broadcast, or none of them."""
    places = [place for place, axis in enumerate(access) if not axis.steps.keys().isdisjoint(run)]
    return not places or access[places[0] : places[-1] + 1] in (along(*run), tuple(axis.once() for axis in along(*run)))


def _partition(access: Access, rank: int, runs: Sequence[tuple[str, ...]]) -> Partition:
    """The runs of the axes of a tensor of this rank; one is empty where the tensor lacks the axis of its access."""
    own, places = axes_of(access, rank), itertools.count()
    run_of = {name: run for run in runs if len(run) > 1 for name in run}
    grouped = itertools.groupby(enumerate(access), lambda at: run_of.get(next(iter(at[1].steps), ""), at[0]))
    return tuple(tuple(next(places) for _, axis in group if axis in own) for _, group in grouped)


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
