"""Winograd's transforms along one axis, on tiles: the matrices of `toom_cook` as the fewest multiply-adds.

Points that differ in sign share the terms of even and of odd powers. Factors are tiles, too, made by `FACTORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.toom_cook import POINTS
from terrace.mlir import arith, ir

Transform = Callable[[LoopBuilder, Sequence[ir.Value], Sequence[ir.Value]], list[ir.Value]]
"""Called with the factors, and with the inputs along an axis or the sums of the points; gives what its matrix makes."""

_, _SMALL, _, _LARGE, _ = POINTS[4]

INPUT_FACTORS = {
    2: (),
    4: (-(_SMALL**2 + _LARGE**2), -(_LARGE**2), -(_SMALL**2), _SMALL, -_SMALL, _LARGE, -_LARGE),
}
"""The factors of `INPUTS`, by the number of outputs. Of 4 outputs, the product of the points' squares is 1."""
RESULT_FACTORS = {2: (), 4: (_SMALL, _LARGE, _SMALL**2, _LARGE**2, _SMALL**3, _LARGE**3)}
"""Those of `RESULTS`."""


def _inputs_of_2(b: LoopBuilder, factors: Sequence[ir.Value], d: Sequence[ir.Value]) -> list[ir.Value]:
    return [arith.subf(d[2], d[0]), arith.addf(d[2], d[1]), arith.subf(d[2], d[1]), arith.subf(d[3], d[1])]


def _results_of_2(b: LoopBuilder, factors: Sequence[ir.Value], m: Sequence[ir.Value]) -> list[ir.Value]:
    return [arith.addf(m[0], arith.addf(m[1], m[2])), arith.addf(arith.subf(m[1], m[2]), m[3])]


def _inputs_of_4(b: LoopBuilder, factors: Sequence[ir.Value], d: Sequence[ir.Value]) -> list[ir.Value]:
    squares, large2, small2, *points = factors
    found = [arith.addf(d[0], b.multiply_add(squares, d[2], d[4]))]
    for other, plus, minus in ((large2, *points[:2]), (small2, *points[2:])):
        even, odd = b.multiply_add(other, d[2], d[4]), b.multiply_add(other, d[1], d[3])
        found += [b.multiply_add(plus, odd, even), b.multiply_add(minus, odd, even)]
    return [*found, arith.addf(d[1], b.multiply_add(squares, d[3], d[5]))]


def _results_of_4(b: LoopBuilder, factors: Sequence[ir.Value], m: Sequence[ir.Value]) -> list[ir.Value]:
    small, large, small2, large2, small3, large3 = factors
    (even, odd), (more_even, more_odd) = (
        (arith.addf(plus, minus), arith.subf(plus, minus)) for plus, minus in ((m[1], m[2]), (m[3], m[4]))
    )
    return [
        arith.addf(m[0], arith.addf(even, more_even)),
        b.multiply_add(small, odd, arith.mulf(large, more_odd)),
        b.multiply_add(small2, even, arith.mulf(large2, more_even)),
        b.multiply_add(small3, odd, b.multiply_add(large3, more_odd, m[5])),
    ]


INPUTS: dict[int, Transform] = {2: _inputs_of_2, 4: _inputs_of_4}
"""By the number of outputs, what multiplies by B^T."""
RESULTS: dict[int, Transform] = {2: _results_of_2, 4: _results_of_4}
"""Likewise by A^T."""
