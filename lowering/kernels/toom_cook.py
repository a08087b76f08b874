"""The matrices of short convolutions by few products (Toom and Cook; Winograd, 1980).

A tile of `outputs` neighbouring results of a filter of 3 taps is, of outputs + 2 inputs,

    results = A^T [(G filter) * (B^T inputs)]

with one product for each of outputs + 2 points. In two dimensions each matrix is applied along both axes.
"""

from __future__ import annotations

import functools
import math

import numpy as np

TAPS = 3

_ROOT = math.sqrt(0.5)

POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, _ROOT, -_ROOT, 2 * _ROOT, -2 * _ROOT)}
"""The points by the number of outputs, besides infinity. Those of 4 outputs have a fifth of the usual ones' rounding
error, 0, ±1, ±2 (`docs/numerics.md`)."""


@functools.cache
def matrices(outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A^T [outputs, points], G [points, 3] and B^T [points, points] in float64, the last point at infinity."""
    points = POINTS[outputs]
    count = outputs + TAPS - 1
    results, weights, inputs = np.zeros((outputs, count)), np.zeros((count, TAPS)), np.zeros((count, count))
    for j, point in enumerate(points):
        others = [other for other in points if other != point]
        results[:, j] = [point**i for i in range(outputs)]
        weights[j] = [point**k / math.prod(point - other for other in others) for k in range(TAPS)]
        inputs[j, : count - 1] = np.poly(others)[::-1]
    results[-1, -1] = weights[-1, -1] = 1
    inputs[-1] = np.poly(points)[::-1]
    return results, weights, inputs


def weight_matrix(outputs: int) -> np.ndarray:
    """What a filter [3 * 3] is multiplied by to be [points * points]: G along both axes, transposed."""
    weights = matrices(outputs)[1]
    return np.kron(weights, weights).T
