"""The generator of reads at indices: `graph.gather` and `graph.embedding`.

Where the elements along the last dimension have one index, a tile is a run of a row; else it is one element. Without
an epilogue elements stay as they are stored, whatever their type.
"""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.base import attributes_of
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.gather.space import has_rows, index_at, load_index
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import ir


def is_row(root: ir.Operation) -> bool:
    """Whether a tile is a run of a row."""
    return root.name == "graph.embedding" or has_rows(root)


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a kernel that reads at indices."""
    names, root, result = kernel.space.names, kernel.root, kernel.results_memory[0]
    kernel.check_schedule(tiled=names[-1:], blocked=names)
    if not is_row(root) and kernel.schedule.tile(names[-1]) > 1:
        raise kernel.refuse(f"tile size of '{names[-1]}' must be 1, as each element has an index of its own")
    value, indices = (kernel.memory_of(operand) for operand in root.operands)
    is_alone = len(kernel.operations) == 1

    def tile(spans: dict[str, Span]) -> None:
        offsets, shape, valid = zip(*(spans[name] for name in names), strict=True)
        at, dims = _place(b, root, indices, offsets)
        read = b.load(value, at, shape, dims, valid=valid, as_stored=is_alone)
        place = TilePlace(offsets, tuple(range(len(names))), shape, valid)
        store_results(b, kernel, {root.results[0]: read}, place)

    nest(b, kernel, {name: b.size(result, axis) for axis, name in enumerate(names)}, lambda start: tile)


def _place(
    b: LoopBuilder, root: ir.Operation, indices: ir.Value, offsets: Sequence[Index]
) -> tuple[list[Index], list[int]]:
    """Where the element for a place of the result stands, and the axis that runs along each dimension of a tile."""
    if root.name == "graph.embedding":
        return [load_index(b, indices, offsets[:-1]), offsets[-1]], [*[-1] * (len(offsets) - 1), 1]
    axis = attributes_of(root).axis
    at, dims = list(offsets), list(range(len(offsets)))
    at[axis], dims[axis] = index_at(b, root, indices, offsets), -1
    return at, dims
