"""Where kernels that read or update at indices stand: which dimensions may become one, and what a row is."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.base import attributes_of, shape_of
from terrace.dialects.graph_indexed import stretches
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.iteration_space import Access, Axis
from terrace.mlir import DYNAMIC, arith, ir, memref


def names_of(joined: Sequence[bool]) -> tuple[str, ...]:
    """The names of dimensions. Those of one letter may become one: each that is `joined` to the one before it."""
    names, letter, number = list[str](), ord("d") - 1, 0
    for is_joined in joined:
        letter, number = (letter, number + 1) if is_joined and names else (letter + 1, 0)
        names.append(f"{chr(letter)}{number}")
    return tuple(names)


def joined_axes(shapes: Sequence[Sequence[int]], axis: int, is_whole: Sequence[bool] = ()) -> list[bool]:
    """Which dimensions may be joined to the one before: both off the axis, and of one size in all tensors, as is known
    or as `is_whole` says. Of the outer one, a tensor may have more than the points.
    """
    alike = [len(set(sizes)) == 1 and DYNAMIC not in sizes for sizes in zip(*shapes, strict=True)]
    whole = is_whole or [False] * len(alike)
    return [axis not in (place, place - 1) and (alike[place] or whole[place]) for place in range(len(alike))]


def picked(names: Sequence[str], axis: int) -> Access:
    """A tensor that has the axis that indices are of: no dimension moves along it."""
    return tuple(Axis({} if place == axis else {name: 1}) for place, name in enumerate(names))


def repeated(names: Sequence[str], is_repeated: Sequence[bool]) -> Access:
    """A tensor that is repeated along some dimensions."""
    pairs = zip(names, is_repeated, strict=True)
    return tuple(Axis({name: int(not repeats)}) for name, repeats in pairs)


def has_rows(root: ir.Operation) -> bool:
    """Whether the elements along the last dimension have one index, so that a vector holds neighbours."""
    indices, axis = shape_of(root.operands[1]), attributes_of(root).axis
    return axis != len(indices) - 1 and indices[-1] == 1


def index_at(b: LoopBuilder, root: ir.Operation, indices: ir.Value, offsets: Sequence[Index]) -> ir.Value:
    """The index at a point of a gather or scatter."""
    repeats = stretches(shape_of(root.operands[1]), attributes_of(root).axis)
    at = [0 if is_repeated else offset for offset, is_repeated in zip(offsets, repeats, strict=True)]
    return load_index(b, indices, at)


def load_index(b: LoopBuilder, indices: ir.Value, at: Sequence[Index]) -> ir.Value:
    """An element of a memory of integers, as an index."""
    return arith.index_cast(ir.IndexType.get(), memref.load(indices, [b.value(place) for place in at]))
