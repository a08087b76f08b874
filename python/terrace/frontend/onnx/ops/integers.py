"""Products of quantised tensors in integers: of int8, summed in int32, where the quantisation lets that be exact.

What stands for a number q of uint8 is q - 128, whose zero point is as much less. Sums over an operand take the other's
zero point away afterwards; those over a weight are constant expressions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.values import MOST_KNOWN

INTEGERS = (torch.int8, torch.uint8)
MOST_TERMS = 1 << 15
"""Fewer products of differences of 8-bit numbers than these have a sum that int32 holds."""


@dataclasses.dataclass(frozen=True)
class Operand:
    """(values - zero) * scale: `values` are int8. `zero` is None where it is known to be 0, and `number` what it is
    known to be. Scale and zero point are of one element, or of one for each index of `axis`."""

    values: Tensor
    scale: Tensor
    zero: Tensor | None
    number: int | None
    axis: int | None

    def transposed(self) -> Operand:
        """The transpose of a matrix."""
        axis = None if self.axis is None else 1 - self.axis
        return dataclasses.replace(self, values=self.values.t(), axis=axis)


def operand(
    node: Node, values: Tensor, scale: Tensor, zero: Tensor | None, zero_at: int, axis: int | None
) -> Operand | None:
    """The operand of `node` whose zero point is its input `zero_at`; None if no integers of 8 bits."""
    if values.dtype not in INTEGERS or scale.dtype != torch.float32:
        return None
    middle = 128 if values.dtype == torch.uint8 else 0
    # What is so large is of a weight, and no input.
    is_large = zero is not None and zero.numel() > MOST_KNOWN
    known: Any = 0 if zero is None else node.scope.known(node.proto.input[zero_at], is_large)
    numbers = set() if known is None else {int(number) - middle for number in np.ravel(known)}
    number = numbers.pop() if len(numbers) == 1 else None
    moved = values if not middle else (values.to(torch.int32) - middle).to(torch.int8)
    if number == 0:
        offset = None
    elif zero is None:
        offset = torch.full((), -middle, dtype=torch.int32)
    else:
        offset = zero.to(torch.int32) - middle
    is_one = scale.numel() == 1
    axis = None if is_one or axis is None else axis % values.dim()
    return Operand(moved, scale.reshape(()) if is_one else scale, _of_one(offset, axis), number, axis)


def _of_one(value: Tensor | None, axis: int | None) -> Tensor | None:
    return value.reshape(()) if value is not None and axis is None and value.numel() == 1 else value


def dequantized_by(node: Node, index: int) -> Operand | None:
    """What input `index` of `node` was dequantised from, if DequantizeLinear made it."""
    made = node.scope.made.get(node.proto.input[index])
    if made is None or made.domain or made.op != "DequantizeLinear" or made.get("block_size", 0):
        return None
    inputs = [made.scope.tensor(name) for name in made.proto.input]
    zero = inputs[2] if len(inputs) > 2 else None
    return operand(made, inputs[0], inputs[1], zero, 2, made.get("axis", 1))


def matrix_sums(a: Operand, b: Operand) -> Tensor | None:
    """The sums of products of matrices, without zero points, in int32; None where int32 may not hold them."""
    terms = a.values.shape[-1]
    if not isinstance(terms, int) or terms >= MOST_TERMS or min(a.values.dim(), b.values.dim()) < 2:
        return None
    left, right = a.values.to(torch.int32), b.values.to(torch.int32)
    sums = torch.matmul(left, right)
    if a.zero is not None:
        sums = sums - a.zero * right.sum(-2, keepdim=True, dtype=torch.int32)
    if b.zero is not None:
        sums = sums - b.zero * left.sum(-1, keepdim=True, dtype=torch.int32)
    return sums + terms * a.zero * b.zero if a.zero is not None and b.zero is not None else sums


def matrix_product(a: Operand | None, b: Operand | None) -> Tensor | None:
    """The real numbers of a product of matrices; None where it is not of integers that can be multiplied."""
    if a is None or b is None or a.axis is not None or b.axis not in (None, b.values.dim() - 1):
        return None
    sums = matrix_sums(a, b)
    return None if sums is None else sums.to(torch.float32) * (a.scale * b.scale)


def convolution_sums(
    x: Operand, weight: Operand, strides: Sequence[int], pads: Sequence[Any], dilations: Sequence[int], groups: int
) -> Tensor | None:
    """The sums of products of a convolution, without zero points, in int32; `pads` are before all axes, then after.

    None where int32 may not hold them, where the weight has a zero point, or the padding's number is not known.
    """
    rank = weight.values.dim() - 2
    is_padded = any(not isinstance(amount, int) or amount for amount in pads)
    terms = math.prod(weight.values.shape[1:])
    if rank > 2 or weight.zero is not None or terms >= MOST_TERMS or (is_padded and x.number is None):
        return None
    data, left = x.values, list(pads[:rank])
    if is_padded and (x.number or left != list(pads[rank:]) or any(not isinstance(n, int) or n < 0 for n in left)):
        flat = [pads[axis + side * rank] for axis in reversed(range(rank)) for side in (0, 1)]
        data, left = F.pad(data, flat, value=x.number), [0] * rank
    kernel = weight.values.to(torch.int32)
    if rank == 1:
        # As an image of height 1 here, so that the casts to int32 are next to the product.
        row, taps = data.unsqueeze(2).to(torch.int32), weight.values.unsqueeze(2).to(torch.int32)
        sums = F.conv2d(row, taps, None, [1, *strides], [0, *left], [1, *dilations], groups).squeeze(2)
    else:
        sums = F.conv2d(data.to(torch.int32), kernel, None, strides, left, dilations, groups)
    if x.zero is None:
        return sums
    return sums - x.zero * kernel.sum(list(range(1, rank + 2)), dtype=torch.int32).reshape(-1, *[1] * rank)


def convolution(
    x: Operand | None, weight: Operand | None, strides: Sequence[int], pads: Sequence[Any],
    dilations: Sequence[int], groups: int,
) -> Tensor | None:  # fmt: skip
    """The real numbers of a convolution without a bias; None where it is not of integers that can be multiplied."""
    if x is None or weight is None or x.axis is not None or weight.axis not in (None, 0):
        return None
    sums = convolution_sums(x, weight, strides, pads, dilations, groups)
    if sums is None:
        return None
    scale = x.scale * weight.scale
    return sums.to(torch.float32) * (scale if weight.axis is None else scale.reshape(-1, *[1] * (sums.dim() - 2)))
