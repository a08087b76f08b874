"""The generator of softmax and of layer and RMS norm, along rows, with their epilogues.

A workgroup takes a block of rows. Each row, short enough for the nearest cache, is passed over several times: once for
each statistic and once for the result. Along a row, several vectors are in flight together.
"""

from __future__ import annotations

from collections.abc import Callable

from terrace.dialects.base import attributes_of
from terrace.lowering.conversion.kernel_to_loop.builder import LoopBuilder
from terrace.lowering.conversion.kernel_to_loop.integer_rows import integer_layer_norm, integer_softmax
from terrace.lowering.conversion.kernel_to_loop.kernel import KernelView, TilePlace, workgroups
from terrace.lowering.conversion.kernel_to_loop.row import Row
from terrace.mlir import arith, ir, math


def _softmax(row: Row) -> None:
    largest = row.fold("max", lambda x: x)

    def shifted(x: ir.Value) -> ir.Value:
        return math.exp(arith.subf(x, row.repeat(largest, x)))

    scale = arith.divf(row.number(1.0), row.fold("sum", shifted))
    row.finish(lambda x, place: arith.mulf(shifted(x), row.repeat(scale, x)))


def _reciprocal_deviation(row: Row, variance: ir.Value) -> ir.Value:
    """1 / sqrt(variance + epsilon)."""
    epsilon = row.number(attributes_of(row.root).epsilon)
    root = math.sqrt(arith.addf(variance, epsilon))
    return arith.divf(row.number(1.0), root)


def _layer_norm(row: Row) -> None:
    mean = row.mean(row.fold("sum", lambda x: x))

    def centred(x: ir.Value) -> ir.Value:
        return arith.subf(x, row.repeat(mean, x))

    # Two passes: the mean of squares less the square of the mean loses all digits where the mean is large. There the
    # mean is rounded to few digits below the deviation, too: the second pass finds what it is off by.
    def squared(x: ir.Value) -> ir.Value:
        return arith.mulf(centred(x), centred(x))

    distance, squares = row.fold_all("sum", [centred, squared])
    distance = row.mean(distance)
    variance = arith.subf(row.mean(squares), arith.mulf(distance, distance))
    scale = _reciprocal_deviation(row, arith.maximumf(variance, row.number(0.0)))

    def result(x: ir.Value, place: TilePlace) -> ir.Value:
        normal = arith.mulf(arith.subf(centred(x), row.repeat(distance, x)), row.repeat(scale, x))
        return arith.addf(arith.mulf(normal, row.load(1, place)), row.load(2, place))

    row.finish(result)


def _rms_norm(row: Row) -> None:
    scale = _reciprocal_deviation(row, row.mean(row.fold("sum", lambda x: arith.mulf(x, x))))
    row.finish(lambda x, place: arith.mulf(arith.mulf(x, row.repeat(scale, x)), row.load(1, place)))


_ROOTS: dict[str, Callable[[Row], None]] = {
    "graph.integer_layer_norm": integer_layer_norm,
    "graph.integer_softmax": integer_softmax,
    "graph.layer_norm": _layer_norm,
    "graph.rms_norm": _rms_norm,
    "graph.softmax": _softmax,
}


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a softmax, layer_norm or rms_norm kernel over [rows, columns]."""
    emit_row = _ROOTS.get(kernel.root.name)
    if emit_row is None:
        raise kernel.refuse(f"row_reduction has no form of {kernel.root.name}; it has {', '.join(_ROOTS)}")
    rows, block = b.size(kernel.results_memory[0], 0), kernel.schedule.block("m")
    kernel.check_schedule(tiled=("n",), blocked=("m", "n"))
    with workgroups(b, kernel, {"m": rows}) as start, b.for_block(start.get("m", 0), block, rows) as row:
        emit_row(Row(b, kernel, row))
