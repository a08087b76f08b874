"""The generator of softmax and of layer and RMS norm, with their epilogues.

A workgroup takes a block of lines, and some of them at a time. Short enough for the nearest cache, they are passed over
several times: once for each statistic and once for the result. Several vectors are in flight together: along a row and
of several rows, or, where lines are no rows, across them. Where `result` leaves local memory by its `terms`, the
exponentials of a softmax are computed once.
"""

from __future__ import annotations

from collections.abc import Callable

from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.packing import Terms
from terrace.lowering.kernels.row_reduction.columns import Columns
from terrace.lowering.kernels.row_reduction.forms import layer_norm, rms_norm, softmax
from terrace.lowering.kernels.row_reduction.integer_rows import integer_layer_norm, integer_softmax
from terrace.lowering.kernels.row_reduction.lines import Lines
from terrace.lowering.kernels.row_reduction.rows import Rows
from terrace.lowering.kernels.view import KernelView

_ROOTS: dict[str, Callable[[Lines], None]] = {
    "graph.integer_layer_norm": integer_layer_norm,
    "graph.integer_softmax": integer_softmax,
    "graph.layer_norm": layer_norm,
    "graph.rms_norm": rms_norm,
    "graph.softmax": softmax,
}


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a softmax, layer_norm or rms_norm kernel over [rows, columns], or [outer, line, inner]."""
    emit = _ROOTS.get(kernel.root.name)
    if emit is None:
        raise kernel.refuse(f"row_reduction has no form of {kernel.root.name}; it has {', '.join(_ROOTS)}")
    leaving = {"result": Terms.name} if emit is softmax else None
    memory = kernel.results_memory[0]
    if "l" in kernel.space.names:
        staged = ("input",) if emit is softmax else ()
        kernel.check_schedule(tiled=("m", "l"), blocked=("m", "n", "l"), staged=staged, leaving=leaving)
        sizes, block = {"m": b.size(memory, 0), "l": b.size(memory, 2)}, kernel.schedule.block("n")
        nest(b, kernel, sizes, lambda start: lambda at: emit(Columns(b, kernel, at["m"], at["l"], block)))
        return
    kernel.check_schedule(tiled=("m", "n"), blocked=("m", "n"), leaving=leaving)
    nest(b, kernel, {"m": b.size(memory, 0)}, lambda start: lambda at: emit(Rows(b, kernel, at["m"])))
