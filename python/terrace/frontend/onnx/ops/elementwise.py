"""Elementwise operators. Shapes broadcast as NumPy's."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.table import onnx_op
from terrace.frontend.onnx.values import UNSIGNED, torch_type_of

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs, "Acos": torch.acos, "Acosh": torch.acosh, "Asin": torch.asin, "Asinh": torch.asinh,
    "Atan": torch.atan, "Atanh": torch.atanh, "BitwiseNot": torch.bitwise_not, "Ceil": torch.ceil, "Cos": torch.cos,
    "Cosh": torch.cosh, "Erf": torch.erf, "Exp": torch.exp, "Floor": torch.floor, "HardSwish": F.hardswish,
    "IsNaN": torch.isnan, "Log": torch.log, "Mish": F.mish, "Neg": torch.neg, "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal, "Relu": torch.relu, "Round": torch.round, "Sigmoid": torch.sigmoid,
    "Sign": torch.sign, "Sin": torch.sin, "Sinh": torch.sinh, "Softplus": F.softplus, "Softsign": F.softsign,
    "Sqrt": torch.sqrt, "Tan": torch.tan, "Tanh": torch.tanh, "Identity": lambda x: x,
}  # fmt: skip

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "And": torch.logical_and, "Or": torch.logical_or,
    "Xor": torch.logical_xor, "BitwiseAnd": torch.bitwise_and, "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor, "Equal": torch.eq, "Greater": torch.gt, "GreaterOrEqual": torch.ge,
    "Less": torch.lt, "LessOrEqual": torch.le,
}  # fmt: skip


def widened(function: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """`function` in a type that PyTorch computes in, the result in the type of the operands if it is not a bool's."""
    narrow = values[0].dtype
    if narrow not in UNSIGNED:
        return function(*values)
    result = function(*(value.to(UNSIGNED[narrow]) if value.dtype in UNSIGNED else value for value in values))
    return result if result.dtype == torch.bool else result.to(narrow)


def _register() -> None:
    for name, unary in UNARY.items():
        onnx_op(name)(lambda node, x, unary=unary: widened(unary, x))
    for name, binary in BINARY.items():
        onnx_op(name)(lambda node, a, b, binary=binary: widened(binary, a, aligned(node, a, b)))


def aligned(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """The second operand with the axes that `axis` of operators before opset 7 adds behind it."""
    axis = node.get("axis")
    if axis is None or not node.get("broadcast", 0):
        return b
    return b.reshape(*b.shape, *(1,) * (a.dim() - axis % a.dim() - b.dim()))


_register()


@onnx_op("Div")
def div(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Toward zero for integers."""
    b = aligned(node, a, b)
    if a.is_floating_point():
        return a / b
    return widened(functools.partial(torch.div, rounding_mode="trunc"), a, b)


@onnx_op("Mod")
def mod(node: Node, a: Tensor, b: Tensor) -> Tensor:
    return widened(torch.fmod if node.get("fmod", 0) else torch.remainder, a, b)


@onnx_op("Pow")
def power(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """In the type of the base."""
    if not a.is_floating_point() and b.is_floating_point():
        return torch.pow(a.double(), b.double()).to(a.dtype)
    return torch.pow(a, aligned(node, a, b).to(a.dtype))


@onnx_op("BitShift")
def bit_shift(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Of unsigned integers. A uint64 goes through int64: what its sign would shift in is masked."""
    left = node["direction"] == "LEFT"
    if left or a.dtype != torch.uint64:
        return widened(torch.bitwise_left_shift if left else torch.bitwise_right_shift, a, b)
    wide, by = a.to(torch.int64), b.to(torch.int64)
    mask = torch.where(by == 0, -1, torch.bitwise_left_shift(torch.ones_like(by), 64 - by) - 1)
    return ((wide >> by) & mask).to(torch.uint64)


@onnx_op("Max", "Min", "Sum", "Mean")
def fold(node: Node, *values: Tensor) -> Tensor:
    one: Callable[[Tensor, Tensor], Tensor] = {"Max": torch.maximum, "Min": torch.minimum}.get(node.op, torch.add)
    total = functools.reduce(lambda a, b: widened(one, a, b), values)
    return total / len(values) if node.op == "Mean" else total


@onnx_op("Where")
def where(node: Node, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(condition, a, b)


@onnx_op("Clip")
def clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """A low bound above the high one gives the high one."""
    if node.opset < 11:
        low = None if node.get("min") is None else torch.tensor(node["min"], dtype=x.dtype)
        high = None if node.get("max") is None else torch.tensor(node["max"], dtype=x.dtype)
    x = x if low is None else widened(torch.maximum, x, low.to(x.dtype))
    return x if high is None else widened(torch.minimum, x, high.to(x.dtype))


@onnx_op("Cast")
def cast(node: Node, x: Tensor) -> Tensor:
    return convert(node, x, torch_type_of(node["to"]))


@onnx_op("CastLike")
def cast_like(node: Node, x: Tensor, like: Tensor) -> Tensor:
    return convert(node, x, like.dtype)


def convert(node: Node, x: Tensor, to: torch.dtype) -> Tensor:
    """As ONNX says: to float8 with saturation unless told otherwise; what is no bool is true unless it is 0."""
    if to in FLOAT8 and x.dtype not in FLOAT8:
        x = x.float()
        if node.get("saturate", 1):
            most = torch.finfo(to).max
            return torch.where(torch.isnan(x), x, x.clamp(-most, most)).to(to)
    if to == torch.bool and x.dtype in UNSIGNED:
        return x.to(UNSIGNED[x.dtype]) != 0
    return x.to(to)


FLOAT8 = (torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz)


@onnx_op("BitCast")
def bit_cast(node: Node, x: Tensor) -> Tensor:
    return x.view(torch_type_of(node["to"]))


@onnx_op("IsInf")
def is_inf(node: Node, x: Tensor) -> Tensor:
    found = torch.isinf(x)
    if not node.get("detect_negative", 1):
        found = found & (x > 0)
    return found if node.get("detect_positive", 1) else found & (x < 0)


@onnx_op("Dropout")
def dropout(node: Node, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None) -> Any:
    """Of inference: everything is kept."""
    if training is not None and bool(node.known(2, training, "a training mode").item()):
        share = float(node.known(1, ratio, "a ratio").item()) if ratio is not None else 0.5
        kept = torch.rand(x.shape) >= share
        return x * kept / (1 - share) if share < 1 else torch.zeros_like(x), kept
    return x, torch.ones(x.shape, dtype=torch.bool)


# Activations with parameters; those whose body ONNX defines are left to it.


@onnx_op("Elu")
def elu(node: Node, x: Tensor) -> Tensor:
    return F.elu(x, node.get("alpha", 1.0))


@onnx_op("LeakyRelu")
def leaky_relu(node: Node, x: Tensor) -> Tensor:
    return F.leaky_relu(x, node.get("alpha", 0.01))


@onnx_op("Selu")
def selu(node: Node, x: Tensor) -> Tensor:
    alpha, gamma = node.get("alpha", 1.67326319217681884765625), node.get("gamma", 1.05070102214813232421875)
    return gamma * torch.where(x > 0, x, alpha * torch.expm1(x))


@onnx_op("HardSigmoid")
def hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    return (x * node.get("alpha", 0.2) + node.get("beta", 0.5)).clamp(0, 1)


@onnx_op("PRelu")
def prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    if node.opset < 7 and slope.dim() == 1 and x.dim() > 2:
        slope = slope.reshape(-1, *(1,) * (x.dim() - 2))
    return torch.where(x >= 0, x, x * slope)


@onnx_op("Gelu")
def gelu(node: Node, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=node.get("approximate", "none"))


@onnx_op("ThresholdedRelu")
def thresholded_relu(node: Node, x: Tensor) -> Tensor:
    return torch.where(x > node.get("alpha", 1.0), x, torch.zeros_like(x))


@onnx_op("Celu")
def celu(node: Node, x: Tensor) -> Tensor:
    return F.celu(x, node.get("alpha", 1.0))


@onnx_op("Swish")
def swish(node: Node, x: Tensor) -> Tensor:
    return x * torch.sigmoid(node.get("alpha", 1.0) * x)


@onnx_op("Shrink")
def shrink(node: Node, x: Tensor) -> Tensor:
    bias, edge = node.get("bias", 0.0), node.get("lambd", 0.5)
    zero = torch.zeros_like(x)
    return torch.where(x < -edge, x + bias, torch.where(x > edge, x - bias, zero)).to(x.dtype)


@onnx_op("Softmax", "LogSoftmax", "Hardmax")
def softmax(node: Node, x: Tensor) -> Tensor:
    """Along an axis; before opset 13, over all axes from that one on."""
    axis = node.get("axis", -1 if node.opset >= 13 else 1)
    shape = x.shape
    if node.opset < 13:
        axis %= max(x.dim(), 1)
        x = x.reshape(*shape[:axis], math.prod(shape[axis:]))
    if node.op == "Hardmax":
        size = x.shape[axis]
        places = torch.arange(size).reshape(size, *(1,) * (x.dim() - axis % x.dim() - 1))
        return (torch.argmax(x, axis, keepdim=True) == places).to(x.dtype).reshape(shape)
    return (torch.softmax if node.op == "Softmax" else torch.log_softmax)(x, axis).reshape(shape)
