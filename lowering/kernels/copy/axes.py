"""Which axes a slice, concat or pad cuts, joins or extends, which a broadcast repeats, and which become one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from terrace.dialects.base import attributes_of, shape_of, to_attribute
from terrace.dialects.graph_base import product
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.iteration_space import Access, Axis, along
from terrace.mlir import DYNAMIC, ir


def _cut(root: ir.Operation) -> set[int]:
    attrs, shape = attributes_of(root), shape_of(root.operands[0])
    axes = enumerate(zip(shape, attrs.starts, attrs.stops, attrs.steps, strict=True))
    return {axis for axis, (size, start, stop, step) in axes if (start, step) != (0, 1) or stop not in (-1, size)}


def _padded(root: ir.Operation) -> set[int]:
    attrs = attributes_of(root)
    return {axis for axis, around in enumerate(zip(attrs.low, attrs.high, strict=True)) if any(around)}


_MOVED: dict[str, Callable[[ir.Operation], set[int]]] = {
    "graph.border_pad": _padded,
    "graph.broadcast": lambda root: set(),
    "graph.concat": lambda root: {attributes_of(root).axis},
    "graph.pad": _padded,
    "graph.slice": _cut,
}


def moved_axes(root: ir.Operation) -> set[int]:
    """The axes of the result along which elements get another place, or of which there are more or fewer.

    A broadcast has none: it repeats elements.
    """
    return _MOVED[root.name](root)


def dimensions(root: ir.Operation) -> tuple[str, ...]:
    """The names of the dimensions. Those of one letter may become one: a moved axis and the whole ones after it.

    But not what follows a step or stays beside a border of elements, nor where a size is not known by which places
    would be multiplied.
    """
    moved, shape = moved_axes(root), shape_of(root.results[0])
    steps = attributes_of(root).steps if root.name == "graph.slice" else [1] * len(shape)
    names, letter, number, is_closed = list[str](), ord("d"), 0, False
    for axis, step in enumerate(steps):
        if names and (axis in moved or is_closed):
            letter, number, is_closed = letter + 1, 0, False
        names.append(f"{chr(letter)}{number}")
        number += 1
        is_alone = step != 1 or root.name == "graph.border_pad" or DYNAMIC in shape[axis + 1 :]
        is_closed = (is_closed and axis in moved) or (axis in moved and is_alone)
    return tuple(names)


def rows_of(root: ir.Operation) -> str | None:
    """The dimension whose rows are moved together: along which a broadcast repeats them, or the last but one.

    None where each row is moved by itself, as beside a border, whose rows come from other places.
    """
    if root.name == "graph.border_pad":
        return None
    names = dimensions(root)
    source, found = shape_of(root.operands[0]), list(names[:-1])
    if root.name == "graph.broadcast":
        skipped = len(names) - len(source)
        found = [name for axis, name in enumerate(found) if axis < skipped or source[axis - skipped] == 1] or found
    return found[-1] if found else None


def accesses(root: ir.Operation, names: Sequence[str]) -> tuple[Access, ...]:
    """Where the operands are read and the result is written, as far as `Collapse` has to know."""
    if root.name != "graph.broadcast":
        return (along(*names),) * (len(root.operands) + 1)
    source = shape_of(root.operands[0])
    own = zip(names[len(names) - len(source) :], source, strict=True)
    return tuple(Axis({name: int(size != 1)}) for name, size in own), along(*names)


def collapsed(root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
    """The attributes of a kernel's root, whose axes became one in runs: places count elements of the inner axes."""
    return {name: to_attribute(value) for name, value in _COLLAPSED[root.name](root, collapse.result)}


Runs = Sequence[Sequence[int]]


def _scaled(values: Sequence[int], runs: Runs, shape: Sequence[int]) -> list[int]:
    """What is said of the first axis of each run, in elements of the run; nothing is where its inner sizes are not."""
    return [values[run[0]] * product([shape[axis] for axis in run[1:]]) if values[run[0]] else 0 for run in runs]


def _collapsed_slice(root: ir.Operation, runs: Runs) -> Iterator[tuple[str, list[int]]]:
    attrs, shape = attributes_of(root), shape_of(root.operands[0])
    yield "starts", _scaled(attrs.starts, runs, shape)
    stops, moved = _scaled(attrs.stops, runs, shape), moved_axes(root)
    to_end = [run[0] not in moved or attrs.stops[run[0]] == -1 for run in runs]
    yield "stops", [-1 if whole else stop for whole, stop in zip(to_end, stops, strict=True)]
    yield "steps", [attrs.steps[run[0]] for run in runs]


def _collapsed_pad(root: ir.Operation, runs: Runs) -> Iterator[tuple[str, list[int]]]:
    attrs, shape = attributes_of(root), shape_of(root.operands[0])
    yield "low", _scaled(attrs.low, runs, shape)
    yield "high", _scaled(attrs.high, runs, shape)


def _collapsed_concat(root: ir.Operation, runs: Runs) -> Iterator[tuple[str, int]]:
    axis = attributes_of(root).axis
    yield "axis", next(number for number, run in enumerate(runs) if axis in run)


_COLLAPSED: dict[str, Callable[[ir.Operation, Runs], Iterator[tuple[str, object]]]] = {
    "graph.border_pad": _collapsed_pad,
    "graph.broadcast": lambda root, runs: iter(()),
    "graph.concat": _collapsed_concat,
    "graph.pad": _collapsed_pad,
    "graph.slice": _collapsed_slice,
}
