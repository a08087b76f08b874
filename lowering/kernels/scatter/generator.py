"""The generator of updates at indices: `graph.scatter`, in the memory of its input.

The points are taken in ascending order along the axis, so that each element sees its updates in the order that the op
defines; those of other dimensions reach other elements, and are spread over workers. Where the elements along the last
dimension have one index, a tile is a run of a row; else it is one element.
"""

from __future__ import annotations

from terrace.dialects.base import attributes_of, shape_of
from terrace.dialects.graph_indexed import stretches
from terrace.lowering.graph.payload import updated
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.gather.space import has_rows, index_at
from terrace.lowering.kernels.nest import over_tiles, workgroups
from terrace.lowering.kernels.view import KernelView


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a kernel that updates at indices."""
    names, root = kernel.space.names, kernel.root
    axis, kind = attributes_of(root).axis, attributes_of(root).kind
    kernel.check_schedule(tiled=names[-1:], blocked=[name for place, name in enumerate(names) if place != axis])
    if not has_rows(root) and kernel.schedule.tile(names[-1]) > 1:
        raise kernel.refuse(f"tile size of '{names[-1]}' must be 1, as each element has an index of its own")
    result, (_, indices, source) = kernel.results_memory[0], (kernel.memory_of(value) for value in root.operands)
    repeats = stretches(shape_of(root.operands[1]), axis)
    counted = [source if is_repeated else indices for is_repeated in repeats]
    sizes = {name: b.size(memory, place) for place, (name, memory) in enumerate(zip(names, counted, strict=True))}
    is_one = [size == 1 for size in shape_of(root.operands[2])]
    axes = tuple(range(len(names)))

    def tile(spans: dict[str, Span]) -> None:
        offsets, shape, valid = zip(*(spans[name] for name in names), strict=True)
        where: list[Index] = list(offsets)
        where[axis] = index_at(b, root, indices, offsets)
        at = [0 if one else offset for offset, one in zip(offsets, is_one, strict=True)]
        dims = [-1 if one else place for place, one in enumerate(is_one)]
        new = b.load(source, at, shape, dims, valid=valid, as_stored=kind == "replace")
        if kind != "replace":
            new = updated(kind, b.load(result, where, shape, axes, valid=valid), new)
        b.store(new, result, where, axes, valid=valid)

    apart = {name: size for place, (name, size) in enumerate(sizes.items()) if place != axis}
    with workgroups(b, kernel, apart) as start:
        over_tiles(b, kernel, sizes, start, tile)
