"""Softmax and layer and RMS norm in floats, as passes over lines."""

from __future__ import annotations

from terrace.dialects.base import attributes_of
from terrace.lowering.graph.payload_types import larger_number
from terrace.lowering.kernels.row_reduction.lines import Lines
from terrace.lowering.kernels.view import TilePlace
from terrace.mlir import arith, ir, math


def softmax(lines: Lines) -> None:
    # An element that is NaN makes its exponential NaN, and with it the sum: the largest one need not be.
    (largest,) = lines.fold_all("max", [lambda most, place: larger_number(most, lines.input(place))])

    def shifted(place: TilePlace) -> ir.Value:
        x = lines.input(place)
        return math.exp(arith.subf(x, lines.repeat(largest, x)))

    power, power_again = lines.kept(shifted)
    scale = arith.divf(lines.number(1.0), lines.fold("sum", power))

    def result(place: TilePlace) -> ir.Value:
        x = power_again(place)
        return arith.mulf(x, lines.repeat(scale, x))

    lines.finish(result)


def _reciprocal_deviation(lines: Lines, variance: ir.Value) -> ir.Value:
    """1 / sqrt(variance + epsilon)."""
    epsilon = lines.number(attributes_of(lines.root).epsilon)
    root = math.sqrt(arith.addf(variance, epsilon))
    return arith.divf(lines.number(1.0), root)


def layer_norm(lines: Lines) -> None:
    mean = lines.mean(lines.fold("sum", lines.input))

    def centred(place: TilePlace) -> ir.Value:
        x = lines.input(place)
        return arith.subf(x, lines.repeat(mean, x))

    # Two passes: the mean of squares less the square of the mean loses all digits where the mean is large.
    def squares(total: ir.Value, place: TilePlace) -> ir.Value:
        x = centred(place)
        return math.fma(x, x, total)

    if lines.corrects_mean:
        # The sum of a long line rounds its mean to few digits below the deviation: here is what it is off by.
        total, distance = lines.fold_all("sum", [squares, lambda total, place: arith.addf(total, centred(place))])
        distance = lines.mean(distance)
        variance = arith.subf(lines.mean(total), arith.mulf(distance, distance))
        scale = _reciprocal_deviation(lines, arith.maximumf(variance, lines.number(0.0)))
        shift = arith.negf(arith.mulf(distance, scale))
    else:
        scale = _reciprocal_deviation(lines, lines.mean(*lines.fold_all("sum", [squares])))
        shift = lines.number(0.0)

    def result(place: TilePlace) -> ir.Value:
        x = centred(place)
        factor = lines.repeat(scale, x)
        normal = math.fma(x, factor, lines.repeat(shift, x)) if lines.corrects_mean else arith.mulf(x, factor)
        return arith.addf(arith.mulf(normal, lines.load(1, place)), lines.load(2, place))

    lines.finish(result)


def rms_norm(lines: Lines) -> None:
    def square(place: TilePlace) -> ir.Value:
        x = lines.input(place)
        return arith.mulf(x, x)

    scale = _reciprocal_deviation(lines, lines.mean(lines.fold("sum", square)))

    def result(place: TilePlace) -> ir.Value:
        x = lines.input(place)
        return arith.mulf(arith.mulf(x, lines.repeat(scale, x)), lines.load(1, place))

    lines.finish(result)
