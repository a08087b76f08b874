"""The generator of ops that only move elements: `graph.slice`, `concat`, `broadcast` and `pad`.

Each is one or more pieces: loops over the piece's shape read an operand at an affine place, or take a number, and write
the result at another. The last dimension of the result runs along the tile.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.graph.payload_types import compute_type
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.nest import over_tiles, workgroups
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import ir


@dataclasses.dataclass(frozen=True)
class Piece:
    """Where elements come from: result element `first + i`, for i in `shape`, is one of `source`.

    Along dimension d of the source it stands at `starts[d] + steps[d] * i[a]`, where `axes[a]` is d; an axis of the
    result with -1 repeats it. Without a source every element is `value`.
    """

    source: ir.Value | None
    shape: tuple[int, ...]
    first: tuple[int, ...]
    axes: tuple[int, ...]
    starts: tuple[int, ...]
    steps: tuple[int, ...]
    value: float = 0.0


def _slice(root: ir.Operation) -> list[Piece]:
    attrs, shape = attributes_of(root), tuple(shape_of(root.results[0]))
    axes = tuple(range(len(shape)))
    return [Piece(root.operands[0], shape, (0,) * len(shape), axes, tuple(attrs.starts), tuple(attrs.steps))]


def _concat(root: ir.Operation) -> list[Piece]:
    axis, pieces, offset = attributes_of(root).axis, list[Piece](), 0
    for operand in root.operands:
        shape = tuple(shape_of(operand))
        first = tuple(offset if a == axis else 0 for a in range(len(shape)))
        zeros, ones = (0,) * len(shape), (1,) * len(shape)
        pieces.append(Piece(operand, shape, first, tuple(range(len(shape))), zeros, ones))
        offset += shape[axis]
    return pieces


def _broadcast(root: ir.Operation) -> list[Piece]:
    source, shape = shape_of(root.operands[0]), tuple(shape_of(root.results[0]))
    skipped = len(shape) - len(source)
    axes = tuple(a - skipped if a >= skipped and source[a - skipped] != 1 else -1 for a in range(len(shape)))
    zeros, ones = (0,) * len(source), (1,) * len(source)
    return [Piece(root.operands[0], shape, (0,) * len(shape), axes, zeros, ones)]


def _pad(root: ir.Operation) -> list[Piece]:
    """The input, and around it slabs of the number that do not overlap: those of axis a lie within all axes before."""
    attrs, inner, shape = attributes_of(root), tuple(shape_of(root.operands[0])), tuple(shape_of(root.results[0]))
    low, rank = tuple(attrs.low), len(shape)
    pieces = [Piece(root.operands[0], inner, low, tuple(range(rank)), (0,) * rank, (1,) * rank)]
    for axis in range(rank):
        for start, size in ((0, low[axis]), (low[axis] + inner[axis], attrs.high[axis])):
            if size:
                first = (*low[:axis], start, *(0,) * (rank - axis - 1))
                slab = (*inner[:axis], size, *shape[axis + 1 :])
                pieces.append(Piece(None, slab, first, (-1,) * rank, (), (), attrs.value))
    return pieces


_ROOTS: dict[str, Callable[[ir.Operation], list[Piece]]] = {
    "graph.broadcast": _broadcast,
    "graph.concat": _concat,
    "graph.pad": _pad,
    "graph.slice": _slice,
}


def _emit(b: LoopBuilder, kernel: KernelView, piece: Piece) -> None:
    memory = kernel.memory_of(piece.source) if piece.source is not None else None
    sizes = dict(zip(kernel.space.names, piece.shape, strict=True))
    over_tiles(b, kernel, sizes, {}, lambda spans: _tile(b, kernel, memory, piece, spans))


def _tile(b: LoopBuilder, kernel: KernelView, memory: ir.Value | None, piece: Piece, spans: dict[str, Span]) -> None:
    offsets, shape, valid = zip(*(spans[name] for name in kernel.space.names), strict=True)
    if memory is None:
        tile = b.splat(shape, compute_type(element_type_of(kernel.root.results[0])), piece.value)
    else:
        indices: list[Index] = list(piece.starts)
        for axis, dim in enumerate(piece.axes):
            if dim >= 0:
                indices[dim] = b.add(b.mul(offsets[axis], piece.steps[dim]), piece.starts[dim])
        steps = [piece.steps[dim] if dim >= 0 else 1 for dim in piece.axes]
        tile = b.load(memory, indices, shape, piece.axes, steps, valid)
    where = tuple(b.add(offset, first) for offset, first in zip(offsets, piece.first, strict=True))
    place = TilePlace(where, tuple(range(len(shape))), shape, valid)
    store_results(b, kernel, {kernel.root.results[0]: tile}, place)


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a copy kernel."""
    kernel.check_schedule(tiled=kernel.space.names[-1:], blocked=())
    with workgroups(b, kernel, {}):
        for piece in _ROOTS[kernel.root.name](kernel.root):
            _emit(b, kernel, piece)
