"""The generator of ops that only move elements: `graph.slice`, `concat`, `broadcast` and `pad`.

Each is one or more pieces: loops over the piece's sizes read an operand at an affine place, or take a number, and write
the result at another. The last dimension of the result runs along the tile. Blocks of the dimensions that every piece
has whole are spread over workgroups.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.copy.axes import moved_axes, rows_of
from terrace.lowering.kernels.copy.borders import pad_rows
from terrace.lowering.kernels.nest import over_tiles, workgroups
from terrace.lowering.kernels.view import KernelView
from terrace.mlir import ir

Indices = tuple[Index, ...]


@dataclasses.dataclass(frozen=True)
class Piece:
    """Where elements come from: result element `first + i`, for i below `sizes`, is one of `source`.

    Along dimension d of the source it stands at `starts[d] + steps[d] * i[a]`, where `axes[a]` is d; an axis of the
    result with -1 repeats it. Without a source every element is `value`.
    """

    source: ir.Value | None
    sizes: Indices
    first: Indices
    axes: tuple[int, ...]
    starts: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    value: float = 0.0


def _sizes(b: LoopBuilder, memory: ir.Value) -> Indices:
    return tuple(b.size(memory, axis) for axis in range(len(shape_of(memory))))


def _whole(b: LoopBuilder, source: ir.Value, first: Indices) -> Piece:
    """All of a memory, moved to a place."""
    rank = len(first)
    return Piece(source, _sizes(b, source), first, tuple(range(rank)), (0,) * rank, (1,) * rank)


def _slice(b: LoopBuilder, kernel: KernelView) -> list[Piece]:
    attrs, sizes = attributes_of(kernel.root), _sizes(b, kernel.results_memory[0])
    axes, source = tuple(range(len(sizes))), kernel.memory_of(kernel.root.operands[0])
    return [Piece(source, sizes, (0,) * len(sizes), axes, tuple(attrs.starts), tuple(attrs.steps))]


def _concat(b: LoopBuilder, kernel: KernelView) -> list[Piece]:
    axis, pieces, offset = attributes_of(kernel.root).axis, list[Piece](), 0
    for operand in kernel.root.operands:
        memory = kernel.memory_of(operand)
        first = tuple(offset if a == axis else 0 for a in range(len(shape_of(memory))))
        pieces.append(_whole(b, memory, first))
        offset = b.add(offset, b.size(memory, axis))
    return pieces


def _broadcast(b: LoopBuilder, kernel: KernelView) -> list[Piece]:
    memory, sizes = kernel.memory_of(kernel.root.operands[0]), _sizes(b, kernel.results_memory[0])
    source = shape_of(memory)
    skipped = len(sizes) - len(source)
    axes = tuple(a - skipped if a >= skipped and source[a - skipped] != 1 else -1 for a in range(len(sizes)))
    return [Piece(memory, sizes, (0,) * len(sizes), axes, (0,) * len(source), (1,) * len(source))]


def _pad(b: LoopBuilder, kernel: KernelView) -> list[Piece]:
    """The input, and around it slabs of the number that do not overlap: those of axis a lie within all axes before."""
    attrs, memory = attributes_of(kernel.root), kernel.memory_of(kernel.root.operands[0])
    inner, sizes, low = _sizes(b, memory), _sizes(b, kernel.results_memory[0]), tuple(attrs.low)
    rank, pieces = len(sizes), [_whole(b, memory, low)]
    for axis in range(rank):
        for start, size in ((0, low[axis]), (b.add(low[axis], inner[axis]), attrs.high[axis])):
            if size:
                first = (*low[:axis], start, *(0,) * (rank - axis - 1))
                slab = (*inner[:axis], size, *sizes[axis + 1 :])
                pieces.append(Piece(None, slab, first, (-1,) * rank, value=attrs.value))
    return pieces


_ROOTS: dict[str, Callable[[LoopBuilder, KernelView], list[Piece]]] = {
    "graph.broadcast": _broadcast,
    "graph.concat": _concat,
    "graph.pad": _pad,
    "graph.slice": _slice,
}


def _tile(b: LoopBuilder, kernel: KernelView, piece: Piece, spans: dict[str, Span]) -> None:
    """Elements stay as they are stored, whatever their type."""
    offsets, shape, valid = zip(*(spans[name] for name in kernel.space.names), strict=True)
    result = kernel.results_memory[0]
    if piece.source is None:
        tile = b.splat(shape, ir.MemRefType(result.type).element_type, piece.value)
    else:
        indices: list[Index] = list(piece.starts)
        for axis, dim in enumerate(piece.axes):
            if dim >= 0:
                indices[dim] = b.add(b.mul(offsets[axis], piece.steps[dim]), piece.starts[dim])
        steps = [piece.steps[dim] if dim >= 0 else 1 for dim in piece.axes]
        tile = b.load(piece.source, indices, shape, piece.axes, steps, valid, as_stored=True)
    where = [b.add(offset, first) for offset, first in zip(offsets, piece.first, strict=True)]
    b.store(tile, result, where, range(len(shape)), valid=valid)


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a copy kernel."""
    names, moved = kernel.space.names, moved_axes(kernel.root)
    shared = [name for axis, name in enumerate(names) if axis not in moved]
    rows = rows_of(kernel.root)
    kernel.check_schedule(tiled=names[-1:] if rows is None else (rows, names[-1]), blocked=shared)
    result = kernel.results_memory[0]
    sizes = {name: b.size(result, axis) for axis, name in enumerate(names) if name in shared}
    with workgroups(b, kernel, sizes) as start:
        if kernel.root.name == "graph.border_pad":
            pad_rows(b, kernel, start)
            return
        for piece in _ROOTS[kernel.root.name](b, kernel):

            def tile(spans: dict[str, Span], piece: Piece = piece) -> None:
                _tile(b, kernel, piece, spans)

            over_tiles(b, kernel, dict(zip(names, piece.sizes, strict=True)), start, tile)
