"""The generator of softmax and of layer and RMS norm, along rows, with their epilogues.

A workgroup takes a block of rows. Each row, short enough for the nearest cache, is passed over several times: once for
each statistic and once for the result. Along a row, several vectors are in flight together.
"""

from __future__ import annotations

from collections.abc import Callable

from terrace.dialects.base import attributes_of
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.row_reduction.integer_rows import integer_layer_norm, integer_softmax
from terrace.lowering.kernels.row_reduction.row import Row
from terrace.lowering.kernels.view import KernelView, TilePlace
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

    # Two passes: the mean of squares less the square of the mean loses all digits where the mean is large.
    def squares(total: ir.Value, x: ir.Value) -> ir.Value:
        return math.fma(centred(x), centred(x), total)

    if row.is_long:
        # The sum of a long row rounds its mean to few digits below the deviation: here is what it is off by.
        total, distance = row.fold_all("sum", [squares, lambda total, x: arith.addf(total, centred(x))])
        distance = row.mean(distance)
        variance = arith.subf(row.mean(total), arith.mulf(distance, distance))
        scale = _reciprocal_deviation(row, arith.maximumf(variance, row.number(0.0)))
        shift = arith.negf(arith.mulf(distance, scale))
    else:
        scale = _reciprocal_deviation(row, row.mean(*row.fold_all("sum", [squares])))
        shift = row.number(0.0)

    def result(x: ir.Value, place: TilePlace) -> ir.Value:
        distance, factor = centred(x), row.repeat(scale, x)
        normal = math.fma(distance, factor, row.repeat(shift, x)) if row.is_long else arith.mulf(distance, factor)
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
    rows = b.size(kernel.results_memory[0], 0)
    kernel.check_schedule(tiled=("n",), blocked=("m", "n"))
    nest(b, kernel, {"m": rows}, lambda start: lambda _: emit_row(Row(b, kernel, start["m"])), first=("m",))
