"""Quantised operators of ONNX Runtime's domain: others on real numbers, between a dequantisation and a quantisation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.contrib import DOMAIN
from terrace.frontend.onnx.ops.integers import matrix_product, operand
from terrace.frontend.onnx.ops.pooling import average_pool
from terrace.frontend.onnx.ops.quantized import dequantized, quantized
from terrace.frontend.onnx.table import onnx_op


@onnx_op("QLinearAdd", "QLinearMul", domain=DOMAIN)
def qlinear_binary(
    node: Node, a: Tensor, a_scale: Tensor, a_zero: Tensor | None, b: Tensor, b_scale: Tensor, b_zero: Tensor | None,
    y_scale: Tensor, y_zero: Tensor | None = None,
) -> Any:  # fmt: skip
    left, right = dequantized(a, a_scale, a_zero), dequantized(b, b_scale, b_zero)
    y = left + right if node.op == "QLinearAdd" else left * right
    return quantized(node, y, y_scale, y_zero, a.dtype)


@onnx_op("QGemm", domain=DOMAIN)
def qgemm(
    node: Node, a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor,
    c: Tensor | None = None, y_scale: Tensor | None = None, y_zero: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """alpha * a @ b + c; the int32 `c` has the scale of the product. Real numbers without a scale of the result."""
    alpha, is_transposed = node.get("alpha", 1.0), node.get("transB", 0)
    left = operand(node, a, a_scale, a_zero, 2, None)
    right = operand(node, b, b_scale, b_zero, 5, 0 if is_transposed else 1)
    if node.get("transA", 0):
        a, left = a.t(), None if left is None else left.transposed()
    if is_transposed:
        b, right = b.t(), None if right is None else right.transposed()
    y = matrix_product(left, right)
    if y is None:
        y = dequantized(a, a_scale, a_zero) @ dequantized(b, b_scale, b_zero)
    y = y if alpha == 1 else y * alpha
    if c is not None:
        y = y + c.to(torch.float32) * (alpha * a_scale * b_scale)
    return y if y_scale is None else quantized(node, y, y_scale, y_zero, a.dtype if y_zero is None else y_zero.dtype)


@onnx_op("QLinearConcat", domain=DOMAIN)
def qlinear_concat(node: Node, y_scale: Tensor, y_zero: Tensor, *rest: Tensor) -> Tensor:
    parts = [dequantized(*rest[start : start + 3]) for start in range(0, len(rest), 3)]
    return quantized(node, torch.cat(parts, node["axis"]), y_scale, y_zero, y_zero.dtype)


@onnx_op("QLinearAveragePool", "QLinearGlobalAveragePool", domain=DOMAIN)
def qlinear_average(
    node: Node, x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor, y_zero: Tensor | None = None
) -> Tensor:
    is_last = bool(node.get("channels_last", 0))
    data = dequantized(x, x_scale, x_zero)
    data = data.movedim(-1, 1) if is_last else data
    whole = node.op == "QLinearGlobalAveragePool"
    y = data.mean(list(range(2, x.dim())), keepdim=True) if whole else average_pool(node, data)
    return quantized(node, y.movedim(1, -1) if is_last else y, y_scale, y_zero, x.dtype)


@onnx_op("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax", domain=DOMAIN)
def qlinear_activation(
    node: Node, x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor, y_zero: Tensor | None = None
) -> Tensor:
    data = dequantized(x, x_scale, x_zero)
    if node.op == "QLinearSigmoid":
        y = torch.sigmoid(data)
    elif node.op == "QLinearLeakyRelu":
        y = F.leaky_relu(data, node.get("alpha", 0.01))
    else:
        axis = node.get("axis", -1)
        if node.get("opset", 13) < 13:
            y = data.flatten(axis % x.dim()).softmax(-1).reshape(x.shape)
        else:
            y = data.softmax(axis)
    return quantized(node, y, y_scale, y_zero, x.dtype)
