"""The generator of softmax and of layer and RMS norm, along rows, with their epilogues.

A workgroup takes a block of rows, and some of them at a time. Short enough for the nearest cache, they are passed over
several times: once for each statistic and once for the result. Several vectors are in flight together, along a row and
of several rows. Where `result` leaves local memory by its `terms`, the exponentials of a softmax are computed once.
"""

from __future__ import annotations

from collections.abc import Callable

from terrace.dialects.base import attributes_of
from terrace.lowering.graph.payload_types import larger_number
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.packing import Terms
from terrace.lowering.kernels.row_reduction.integer_rows import integer_layer_norm, integer_softmax
from terrace.lowering.kernels.row_reduction.rows import Rows
from terrace.lowering.kernels.view import KernelView, TilePlace
from terrace.mlir import arith, ir, math


def _softmax(rows: Rows) -> None:
    # An element that is NaN makes its exponential NaN, and with it the sum: the largest one need not be.
    (largest,) = rows.fold_all("max", [lambda most, place: larger_number(most, rows.input(place))])

    def shifted(place: TilePlace) -> ir.Value:
        x = rows.input(place)
        return math.exp(arith.subf(x, rows.repeat(largest, x)))

    power, power_again = rows.kept(shifted)
    scale = arith.divf(rows.number(1.0), rows.fold("sum", power))

    def result(place: TilePlace) -> ir.Value:
        x = power_again(place)
        return arith.mulf(x, rows.repeat(scale, x))

    rows.finish(result)


def _reciprocal_deviation(rows: Rows, variance: ir.Value) -> ir.Value:
    """1 / sqrt(variance + epsilon)."""
    epsilon = rows.number(attributes_of(rows.root).epsilon)
    root = math.sqrt(arith.addf(variance, epsilon))
    return arith.divf(rows.number(1.0), root)


def _layer_norm(rows: Rows) -> None:
    mean = rows.mean(rows.fold("sum", rows.input))

    def centred(place: TilePlace) -> ir.Value:
        x = rows.input(place)
        return arith.subf(x, rows.repeat(mean, x))

    # Two passes: the mean of squares less the square of the mean loses all digits where the mean is large.
    def squares(total: ir.Value, place: TilePlace) -> ir.Value:
        x = centred(place)
        return math.fma(x, x, total)

    if rows.is_long:
        # The sum of a long row rounds its mean to few digits below the deviation: here is what it is off by.
        total, distance = rows.fold_all("sum", [squares, lambda total, place: arith.addf(total, centred(place))])
        distance = rows.mean(distance)
        variance = arith.subf(rows.mean(total), arith.mulf(distance, distance))
        scale = _reciprocal_deviation(rows, arith.maximumf(variance, rows.number(0.0)))
        shift = arith.negf(arith.mulf(distance, scale))
    else:
        scale = _reciprocal_deviation(rows, rows.mean(*rows.fold_all("sum", [squares])))
        shift = rows.number(0.0)

    def result(place: TilePlace) -> ir.Value:
        x = centred(place)
        factor = rows.repeat(scale, x)
        normal = math.fma(x, factor, rows.repeat(shift, x)) if rows.is_long else arith.mulf(x, factor)
        return arith.addf(arith.mulf(normal, rows.load(1, place)), rows.load(2, place))

    rows.finish(result)


def _rms_norm(rows: Rows) -> None:
    def square(place: TilePlace) -> ir.Value:
        x = rows.input(place)
        return arith.mulf(x, x)

    scale = _reciprocal_deviation(rows, rows.mean(rows.fold("sum", square)))

    def result(place: TilePlace) -> ir.Value:
        x = rows.input(place)
        return arith.mulf(arith.mulf(x, rows.repeat(scale, x)), rows.load(1, place))

    rows.finish(result)


_ROOTS: dict[str, Callable[[Rows], None]] = {
    "graph.integer_layer_norm": integer_layer_norm,
    "graph.integer_softmax": integer_softmax,
    "graph.layer_norm": _layer_norm,
    "graph.rms_norm": _rms_norm,
    "graph.softmax": _softmax,
}


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a softmax, layer_norm or rms_norm kernel over [rows, columns]."""
    emit_rows = _ROOTS.get(kernel.root.name)
    if emit_rows is None:
        raise kernel.refuse(f"row_reduction has no form of {kernel.root.name}; it has {', '.join(_ROOTS)}")
    leaving = {"result": Terms.name} if emit_rows is _softmax else None
    kernel.check_schedule(tiled=("m", "n"), blocked=("m", "n"), leaving=leaving)
    rows = b.size(kernel.results_memory[0], 0)
    nest(b, kernel, {"m": rows}, lambda start: lambda spans: emit_rows(Rows(b, kernel, spans["m"])))
