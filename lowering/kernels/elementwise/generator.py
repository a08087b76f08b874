"""The generator of elementwise groups: broadcasting, any rank, any number of results of one shape.

The last dimension runs along the vector; the outer ones are loops. Blocks of the schedule's parallel dimensions are
spread over workgroups.
"""

from __future__ import annotations

from terrace.dialects.base import shape_of
from terrace.lowering.kernels.builder import LoopBuilder, Span
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of an elementwise kernel."""
    names = kernel.space.names
    result = kernel.results_memory[0]
    if len(shape_of(result)) != len(names):
        raise kernel.refuse("the iteration space must be the result's shape")
    if not names:
        raise kernel.refuse("needs at least one dimension")
    kernel.check_schedule(tiled=names, blocked=names)
    sizes = {name: b.size(result, axis) for axis, name in enumerate(names)}

    def tile(spans: dict[str, Span]) -> None:
        offsets, shape, valid = zip(*(spans[name] for name in names), strict=True)
        store_results(b, kernel, {}, TilePlace(offsets, tuple(range(len(names))), shape, valid))

    nest(b, kernel, sizes, lambda start: tile)
