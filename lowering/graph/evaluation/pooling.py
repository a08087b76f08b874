"""Evaluation of pools."""

from __future__ import annotations

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import Attributes
from terrace.lowering.graph.evaluation.arrays import Array, is_float, widen
from terrace.lowering.graph.evaluation.rules import evaluates, result_shape
from terrace.lowering.graph.evaluation.windows import from_nchw, pad_image, to_nchw, windows
from terrace.mlir import ir


def _windows(op: ir.Operation, attrs: Attributes, image: Array, beyond: float) -> Array:
    _, height, width = (result_shape(op)[axis] for axis in graph.image_axes(attrs.layout))
    return windows(image, attrs.kernel, attrs, (height, width), beyond)


@evaluates(graph.MaxPool2dOp)
def _max_pool2d(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    image = to_nchw(widen(operands[0]), attrs.layout)
    least = -np.inf if is_float(image) else np.iinfo(image.dtype).min
    return from_nchw(_windows(op, attrs, pad_image(image, attrs, least), least).max((-2, -1)), attrs.layout)


@evaluates(graph.SumPool2dOp)
def _sum_pool2d(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    image = to_nchw(operands[0].astype(np.int32), attrs.layout)
    return from_nchw(_windows(op, attrs, pad_image(image, attrs, 0), 0).sum((-2, -1), np.int32), attrs.layout)


@evaluates(graph.AvgPool2dOp)
def _avg_pool2d(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    """Sums over counts; what lies beyond the padding, under windows that hang over it, never counts."""
    image = to_nchw(widen(operands[0]), attrs.layout)
    counted = pad_image(np.ones((1, 1, *image.shape[2:])), attrs, float(attrs.count_include_pad))
    total, count = (_windows(op, attrs, v, 0).sum((-2, -1)) for v in (pad_image(image, attrs, 0), counted))
    return from_nchw(total / count, attrs.layout)
