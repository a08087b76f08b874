"""The generator of permutations: each tile of the result is read along the dimensions that it comes from."""

from __future__ import annotations

from terrace.dialects.base import attributes_of
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.view import KernelView


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a permutation."""
    names = kernel.space.names
    kernel.check_schedule(tiled=names, blocked=names)
    source, result = kernel.memory_of(kernel.root.operands[0]), kernel.results_memory[0]
    permutation = attributes_of(kernel.root).permutation
    sizes = {name: b.size(result, axis) for axis, name in enumerate(names)}

    # A matrix, whatever the rank: other dimensions are stepped one by one.
    axes = [axis for axis, name in enumerate(names) if name in kernel.schedule.cut("register").sizes]

    def tile(spans: dict[str, Span]) -> None:
        offsets = [spans[name][0] for name in names]
        _, shape, valid = zip(*(spans[names[axis]] for axis in axes), strict=True)
        indices: list[Index] = [0] * len(names)
        for dim, offset in zip(permutation, offsets, strict=True):
            indices[dim] = offset
        moved = b.load(source, indices, shape, [permutation[axis] for axis in axes], valid=valid, as_stored=True)
        b.store(moved, result, offsets, axes, valid=valid)

    nest(b, kernel, sizes, lambda start: tile)
