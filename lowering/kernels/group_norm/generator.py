"""The generator of `graph.group_norm`, with its epilogue: images [n, channels, pixels] or [n, pixels, channels].

A workgroup takes some images and groups of channels, and passes over each group several times, as the layer norm does
over a row. Vectors run along the last dimension: pixels of a channel, or channels of a pixel, which are those of one
group or of several, side by side.
"""

from __future__ import annotations

from terrace.dialects.base import attributes_of
from terrace.lowering.kernels.builder import LoopBuilder, Span
from terrace.lowering.kernels.group_norm.groups import GroupsSideBySide, OneGroup, Range
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.row_reduction.forms import layer_norm
from terrace.lowering.kernels.view import KernelView


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a group_norm kernel."""
    channels_last, groups = attributes_of(kernel.root).axis == 2, attributes_of(kernel.root).groups
    memory, channels, size = kernel.results_memory[0], kernel.space.size("c"), kernel.schedule.block
    pixels = b.size(memory, 1 if channels_last else 2)
    side_by_side = "g" in kernel.schedule.cut("register").sizes
    if side_by_side and not channels_last:
        raise kernel.refuse("can have groups side by side only where channels are the last dimension")
    kernel.check_schedule(tiled=("g",) if side_by_side else kernel.space.names[3:], blocked=kernel.space.names)

    def group(at: dict[str, Span]) -> None:
        (image, _, _), (first, count, _) = at["n"], at["g"]
        if side_by_side:
            layer_norm(GroupsSideBySide(b, kernel, image, first, count))
            return
        own = Range("c", b.mul(first, channels), channels, size("c"))
        all_pixels = Range("s", 0, pixels, size("s"))
        layer_norm(OneGroup(b, kernel, image, *((all_pixels, own) if channels_last else (own, all_pixels))))

    nest(b, kernel, {"n": b.size(memory, 0), "g": groups}, lambda start: group)
