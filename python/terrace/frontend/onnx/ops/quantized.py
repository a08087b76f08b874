"""Quantisation: linear, in integers and in float8, by tensor, channel or block."""

from __future__ import annotations

import torch
from torch import Tensor

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.elementwise import FLOAT8, convert
from terrace.frontend.onnx.ops.integers import convolution, matrix_product, operand
from terrace.frontend.onnx.ops.products import convolved, window_of
from terrace.frontend.onnx.table import onnx_op
from terrace.frontend.onnx.values import torch_type_of


def spread(node: Node, value: Tensor, x: Tensor) -> Tensor:
    """A scale or zero point against the data: one, one for each index of an axis, or one for each block of it."""
    axis, block = node.get("axis", 1), node.get("block_size", 0)
    if value.dim() == 0 or (value.numel() == 1 and value.dim() <= 1):
        return value.reshape(())
    if block:
        return value.repeat_interleave(block, axis).narrow(axis, 0, x.shape[axis])
    axis %= x.dim()
    return value.reshape(-1, *(1,) * (x.dim() - axis - 1))


@onnx_op("QuantizeLinear")
def quantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    to = zero.dtype if zero is not None else torch_type_of(node.get("output_dtype", 0) or 2)
    return quantized(node, x, spread(node, scale, x), None if zero is None else spread(node, zero, x), to)


def quantized(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None, to: torch.dtype) -> Tensor:
    """Rounded to nearest even, saturated."""
    y = x / scale.to(x.dtype)
    if to in FLOAT8:
        return convert(node, y, to)
    offset: Tensor | float = 0.0 if zero is None else zero.to(torch.int32 if to != torch.int32 else torch.int64)
    bounds = torch.iinfo(to)
    return (torch.round(y.float()) + offset).clamp(bounds.min, bounds.max).to(torch.int32).to(to)


@onnx_op("DequantizeLinear")
def dequantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    return dequantized(x, spread(node, scale, x), None if zero is None else spread(node, zero, x))


def dequantized(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    if x.dtype in FLOAT8:
        return x.to(scale.dtype) * scale
    wide = x.to(torch.int32)
    return (wide if zero is None else wide - zero.to(torch.int32)).to(scale.dtype) * scale


@onnx_op("DynamicQuantizeLinear")
def dynamic_quantize(node: Node, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
    scale = (high - low) / 255
    zero = torch.round((0 - low / scale).clamp(0, 255))
    y = (torch.round(x / scale) + zero).clamp(0, 255)
    return y.to(torch.int32).to(torch.uint8), scale, zero.to(torch.int32).to(torch.uint8)


@onnx_op("QLinearMatMul")
def qlinear_matmul(
    node: Node, a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor,
    y_scale: Tensor, y_zero: Tensor,
) -> Tensor:  # fmt: skip
    def rows(value: Tensor) -> Tensor:
        return value.unsqueeze(-1) if value.dim() == 1 and value.numel() > 1 else value.reshape(())

    if a.dtype in FLOAT8:
        product = torch.matmul(dequantized(a, rows(a_scale)), dequantized(b, b_scale))
        return quantized(node, product, y_scale, None, y_zero.dtype)
    found = matrix_product(operand(node, a, a_scale, a_zero, 2, -2), operand(node, b, b_scale, b_zero, 5, -1))
    if found is None:
        left = a.to(torch.int32) - rows(a_zero).to(torch.int32)
        right = b.to(torch.int32) - b_zero.to(torch.int32)
        found = torch.matmul(left, right).float() * (rows(a_scale) * b_scale).float()
    return quantized(node, found, y_scale, y_zero, y_zero.dtype)


@onnx_op("QLinearConv")
def qlinear_conv(
    node: Node, x: Tensor, x_scale: Tensor, x_zero: Tensor, w: Tensor, w_scale: Tensor, w_zero: Tensor,
    y_scale: Tensor, y_zero: Tensor, bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    def channels(value: Tensor) -> Tensor:
        return value.reshape(-1, *(1,) * (w.dim() - 1)) if value.numel() > 1 else value.reshape(())

    image, kernel = operand(node, x, x_scale, x_zero, 2, None), operand(node, w, w_scale, w_zero, 5, 0)
    y = convolution(image, kernel, *window_of(node, x, w))
    if y is None:
        data = dequantized(x, x_scale.reshape(()), x_zero.reshape(()))
        y = convolved(node, data, dequantized(w, channels(w_scale), channels(w_zero)), None)
    if bias is not None:
        shift = bias.float() * (x_scale.reshape(()) * w_scale.reshape(-1))
        y = y + shift.reshape(-1, *(1,) * (w.dim() - 2))
    return quantized(node, y, y_scale.reshape(()), y_zero.reshape(()), y_zero.dtype)
