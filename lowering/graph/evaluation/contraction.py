"""Evaluation of the ops that multiply and sum."""

from __future__ import annotations

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import Attributes
from terrace.dialects.graph_contraction import RESULT
from terrace.lowering.graph.evaluation.arrays import Array, is_float, widen
from terrace.lowering.graph.evaluation.normalization import softmax
from terrace.lowering.graph.evaluation.rules import evaluates, result_shape, result_type
from terrace.lowering.graph.evaluation.windows import from_nchw, pad_image, to_nchw, windows
from terrace.mlir import ir


def _factors(op: ir.Operation, operands: list[Array]) -> list[Array]:
    """Both operands as they are multiplied; products of int8 may be summed in int32."""
    return [widen(v) if is_float(v) else v.astype(result_type(op)) for v in operands]


@evaluates(graph.BatchMatmulOp, graph.MatmulOp)
def _matmul(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    lhs, rhs = _factors(op, operands)
    return np.matmul(lhs, np.swapaxes(rhs, -1, -2) if attrs.transpose_rhs else rhs)


@evaluates(graph.AttentionOp)
def _attention(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    (query, key, value), masks = map(widen, operands[:3]), map(widen, operands[3:])
    inner = graph.AttentionOp.inner_heads(attrs)
    query, key, value = (_heads_moved(x) if i in inner else x for i, x in enumerate((query, key, value)))
    shared = graph.AttentionOp.heads_per_key(query.shape, key.shape)
    key, value = (np.repeat(x, shared, axis=-3) if shared > 1 else x for x in (key, value))
    scores = np.matmul(query, np.swapaxes(key, -1, -2)) * attrs.scale
    for mask in masks:
        scores = scores + mask
    if attrs.is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=np.bool_), scores, -np.inf)
    result = np.matmul(softmax(scores, -1), value)
    return _heads_moved(result) if RESULT in inner else result


def _heads_moved(value: Array) -> Array:
    return np.swapaxes(value, -2, -3)


@evaluates(graph.Conv2dOp)
def _conv2d(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    image, weight = _factors(op, operands)
    image, groups = pad_image(to_nchw(image, attrs.layout), attrs, 0), attrs.groups
    _, *counts = (result_shape(op)[axis] for axis in graph.image_axes(attrs.layout))
    found = windows(image, weight.shape[2:], attrs, counts, 0)
    found = found.reshape(found.shape[0], groups, found.shape[1] // groups, *found.shape[2:])
    weight = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    result = np.einsum("ngcyxhw,gochw->ngoyx", found, weight, optimize=True)
    return from_nchw(result.reshape(result.shape[0], groups * result.shape[2], *counts), attrs.layout)


@evaluates(graph.ConvTranspose2dOp)
def _conv_transpose2d(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    """Every element of the image adds its multiple of the kernel to the result, which is wider by the padding."""
    image, weight = _factors(op, operands)
    image = to_nchw(image, attrs.layout)
    batch, channels, height, width = image.shape
    image = image.reshape(batch, attrs.groups, channels // attrs.groups, height, width)
    weight = weight.reshape(attrs.groups, channels // attrs.groups, *weight.shape[1:])
    sizes = to_nchw(np.empty(result_shape(op), np.bool_), attrs.layout).shape
    (top, left), (sh, sw), (dh, dw) = attrs.padding, attrs.strides, attrs.dilations
    whole = np.zeros((batch, attrs.groups, weight.shape[2], sizes[2] + 2 * top, sizes[3] + 2 * left), image.dtype)
    for y in range(weight.shape[3]):
        for x in range(weight.shape[4]):
            rows = slice(y * dh, y * dh + sh * (height - 1) + 1, sh)
            columns = slice(x * dw, x * dw + sw * (width - 1) + 1, sw)
            products = np.einsum("ngcyx,gco->ngoyx", image, weight[..., y, x], optimize=True)
            whole[..., rows, columns] += products
    result = whole[..., top : top + sizes[2], left : left + sizes[3]]
    return from_nchw(result.reshape(sizes), attrs.layout)
