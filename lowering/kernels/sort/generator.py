"""The generator of orders: the first places of lines by a list in order, all places of long lines by a radix sort."""

from __future__ import annotations

from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.sort.first import First
from terrace.lowering.kernels.sort.radix import Radix
from terrace.lowering.kernels.sort.space import is_whole
from terrace.lowering.kernels.view import KernelView


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a kernel that finds places in order, over [rows, columns] or [outer, line, inner]."""
    whole, memory = is_whole(kernel.root), kernel.memory_of(kernel.root.operands[0])
    sort = (Radix if whole else First)(b, kernel)
    if "l" not in kernel.space.names:
        kernel.check_schedule(tiled=("n",), blocked=("m",))
        nest(b, kernel, {"m": b.size(memory, 0)}, lambda start: sort.rows)
        return
    kernel.check_schedule(tiled=() if whole else ("l",), blocked=("m", "l"))
    nest(b, kernel, {"m": b.size(memory, 0), "l": b.size(memory, 2)}, lambda start: sort.lines)
