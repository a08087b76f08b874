"""The generator of ops that only move elements: `graph.permute`, `graph.slice` and `graph.concat`.

Each is one or two pieces: loops over the piece's shape read an operand at an affine place and write the result at
another. The last dimension of the result runs along the tile.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.conversion.kernel_to_loop.builder import Index, LoopBuilder
from terrace.lowering.conversion.kernel_to_loop.kernel import KernelView, TilePlace, store_results, workgroups
from terrace.mlir import ir

Span: TypeAlias = tuple[Index, int, Index | None]


@dataclasses.dataclass(frozen=True)
class Piece:
    """Where elements come from: result element `first + i`, for i in `shape`, is one of `source`.

    Along dimension d of the source it stands at `starts[d] + steps[d] * i[a]`, where `axes[a]` is d.
    """

    source: ir.Value
    shape: tuple[int, ...]
    first: tuple[int, ...]
    axes: tuple[int, ...]
    starts: tuple[int, ...]
    steps: tuple[int, ...]


def _permute(root: ir.Operation) -> list[Piece]:
    shape = tuple(shape_of(root.results[0]))
    zeros, ones = (0,) * len(shape), (1,) * len(shape)
    return [Piece(root.operands[0], shape, zeros, tuple(attributes_of(root).permutation), zeros, ones)]


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


_ROOTS: dict[str, Callable[[ir.Operation], list[Piece]]] = {
    "graph.concat": _concat,
    "graph.permute": _permute,
    "graph.slice": _slice,
}


def _emit(b: LoopBuilder, kernel: KernelView, piece: Piece) -> None:
    spans: list[Span] = []
    memory, last = kernel.memory_of(piece.source), kernel.space.names[-1]

    def loops(remaining: Sequence[int]) -> None:
        if not remaining:
            _tile(b, kernel, memory, piece, spans)
            return

        def body(offset: Index, size: int, valid: Index | None) -> None:
            spans.append((offset, size, valid))
            loops(remaining[1:])
            spans.pop()

        tile = kernel.schedule.tile(last) if len(remaining) == 1 else 1
        b.tiles(0, 0, remaining[0], tile, body)

    loops(piece.shape)


def _tile(b: LoopBuilder, kernel: KernelView, memory: ir.Value, piece: Piece, spans: list[Span]) -> None:
    offsets, shape, valid = zip(*spans, strict=True)
    indices: list[Index] = list(piece.starts)
    for axis, dim in enumerate(piece.axes):
        indices[dim] = b.add(b.mul(offsets[axis], piece.steps[dim]), piece.starts[dim])
    steps = [piece.steps[dim] for dim in piece.axes]
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
