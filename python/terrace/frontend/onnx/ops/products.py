"""Products of matrices and convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.integers import (
    Operand,
    convolution,
    convolution_sums,
    dequantized_by,
    matrix_product,
    matrix_sums,
    operand,
)
from terrace.frontend.onnx.table import onnx_op

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@onnx_op("MatMul")
def matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    y = matrix_product(dequantized_by(node, 0), dequantized_by(node, 1))
    return torch.matmul(a, b) if y is None else y


@onnx_op("Gemm")
def gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    left, right = (
        factor.transposed() if factor is not None and node.get(flag, 0) else factor
        for factor, flag in ((dequantized_by(node, 0), "transA"), (dequantized_by(node, 1), "transB"))
    )
    a = a.t() if node.get("transA", 0) else a
    if (product := matrix_product(left, right)) is not None:
        y = product
    elif node.get("transB", 0):
        y = F.linear(a, b, c if alpha == 1 and beta == 1 and c is not None and c.dim() == 1 else None)
        if alpha == 1 and beta == 1 and c is not None and c.dim() == 1:
            return y
    else:
        y = a @ b
    y = y if alpha == 1 else scaled(y, alpha)
    return y if c is None else y + (c if beta == 1 else scaled(c, beta))


def scaled(x: Tensor, by: float) -> Tensor:
    return (x * by).to(x.dtype)


@onnx_op("Einsum")
def einsum(node: Node, *values: Tensor) -> Tensor:
    return torch.einsum(node["equation"].replace(" ", ""), *values)


@onnx_op("Det")
def det(node: Node, x: Tensor) -> Tensor:
    return torch.linalg.det(x)


def pads_of(node: Node, sizes: list[Any], kernel: list[int], strides: list[int], dilations: list[int]) -> list[Any]:
    """Padding before and after each axis: before all, then after all, as ONNX has it."""
    rank = len(kernel)
    mode = node.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return list(node.get("pads", [0] * (2 * rank)))
    if mode == "VALID":
        return [0] * (2 * rank)
    before, after = [], []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        count = -(-size // stride)
        amount = (count - 1) * stride + dilation * (k - 1) + 1 - size
        amount = torch.sym_max(amount, 0)
        small = amount // 2
        before.append(small if mode == "SAME_UPPER" else amount - small)
        after.append(amount - small if mode == "SAME_UPPER" else small)
    return before + after


def padded(x: Tensor, pads: list[Any], value: float = 0.0) -> tuple[Tensor, list[Any]]:
    """The image and symmetric padding that is left: padded already where sides differ."""
    rank = len(pads) // 2
    if all(isinstance(pads[i], int) and pads[i] == pads[i + rank] and pads[i] >= 0 for i in range(rank)):
        return x, pads[:rank]
    flat = [pads[i + side * rank] for i in reversed(range(rank)) for side in (0, 1)]
    return F.pad(x, flat, value=value), [0] * rank


@onnx_op("Conv")
def conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    strides, pads, dilations, groups = window_of(node, x, weight)
    y = convolution(dequantized_by(node, 0), dequantized_by(node, 1), strides, pads, dilations, groups)
    if y is not None:
        return y if bias is None else y + bias.reshape(-1, *[1] * (y.dim() - 2))
    return convolved(node, x, weight, bias)


def window_of(node: Node, x: Tensor, weight: Tensor) -> tuple[list[int], list[Any], list[int], int]:
    """Strides, padding before all axes and after them, dilations and groups."""
    kernel = list(weight.shape[2:])
    strides, dilations = node.get("strides", [1] * len(kernel)), node.get("dilations", [1] * len(kernel))
    return strides, pads_of(node, list(x.shape[2:]), kernel, strides, dilations), dilations, node.get("group", 1)


def convolved(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    strides, pads, dilations, groups = window_of(node, x, weight)
    x, left = padded(x, pads)
    rank = weight.dim() - 2
    if rank not in CONVOLUTIONS:
        raise node.error(f"convolves {rank} dimensions; 1 to 3 are supported")
    return CONVOLUTIONS[rank](x, weight, bias, strides, left, dilations, groups)


@onnx_op("ConvTranspose")
def conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Padding takes away what the transposed convolution gives at the edges; `output_shape` decides it where given."""
    kernel = list(weight.shape[2:])
    rank = len(kernel)
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    extra = node.get("output_padding", [0] * rank)
    whole = [
        (size - 1) * stride + dilation * (k - 1) + 1 + more
        for size, k, stride, dilation, more in zip(x.shape[2:], kernel, strides, dilations, extra, strict=True)
    ]
    wanted = node.get("output_shape")
    mode = node.get("auto_pad", "NOTSET")
    if wanted is None and mode.startswith("SAME"):
        wanted = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
    if wanted is None:
        pads = node.get("pads", [0] * (2 * rank)) if mode == "NOTSET" else [0] * (2 * rank)
        before, after = pads[:rank], pads[rank:]
    else:
        totals = [have - want for have, want in zip(whole, wanted[-rank:], strict=True)]
        smaller = [amount // 2 for amount in totals]
        larger = [amount - half for amount, half in zip(totals, smaller, strict=True)]
        before, after = (larger, smaller) if mode != "SAME_UPPER" else (smaller, larger)
    direct = all(isinstance(amount, int) and amount >= 0 for amount in before) and before == after
    if direct and all(more < max(s, d) for more, s, d in zip(extra, strides, dilations, strict=True)):
        return TRANSPOSED[rank](x, weight, bias, strides, before, extra, node.get("group", 1), dilations)
    y = TRANSPOSED[rank](x, weight, None, strides, 0, 0, node.get("group", 1), dilations)
    y = F.pad(y, [amount for i in reversed(range(rank)) for amount in (-before[i], extra[i] - after[i])])
    return y if bias is None else y + bias.reshape(-1, *(1,) * rank)


def integers_of(node: Node, values: Tensor, zero: Tensor | None, zero_at: int) -> Operand | None:
    """An operand of a product of integers, whose scale is 1."""
    return operand(node, values, torch.ones(()), zero, zero_at, None)


@onnx_op("ConvInteger")
def conv_integer(
    node: Node, x: Tensor, weight: Tensor, zero: Tensor | None = None, weight_zero: Tensor | None = None
) -> Tensor:
    """Sums of int32, without the zero points."""
    data, kernel = integers_of(node, x, zero, 2), integers_of(node, weight, weight_zero, 3)
    if data is not None and kernel is not None:
        sums = convolution_sums(data, kernel, *window_of(node, x, weight))
        if sums is not None:
            return sums
    a = x.to(torch.int32) - (0 if zero is None else zero.to(torch.int32))
    b = weight.to(torch.int32)
    if weight_zero is not None:
        offset = weight_zero.to(torch.int32)
        b = b - (offset.reshape(-1, *(1,) * (b.dim() - 1)) if offset.dim() else offset)
    return convolved(node, a.double(), b.double(), None).to(torch.int32)


@onnx_op("MatMulInteger")
def matmul_integer(
    node: Node, a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Tensor:
    """Sums of int32, without the zero points: those of A by row, of B by column."""
    if a_zero is not None and a_zero.dim() == 1 and a_zero.numel() > 1:
        a_zero = a_zero.unsqueeze(-1)
    left, right = integers_of(node, a, a_zero, 2), integers_of(node, b, b_zero, 3)
    if left is not None and right is not None and (sums := matrix_sums(left, right)) is not None:
        return sums
    wide, other = a.to(torch.int32), b.to(torch.int32)
    wide = wide if a_zero is None else wide - a_zero.to(torch.int32)
    return torch.matmul(wide, other if b_zero is None else other - b_zero.to(torch.int32))
