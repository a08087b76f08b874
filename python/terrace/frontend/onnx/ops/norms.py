"""Normalisations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.table import onnx_op


@onnx_op("BatchNormalization")
def batch_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Any:
    eps, momentum = node.get("epsilon", 1e-5), node.get("momentum", 0.9)
    if not node.get("spatial", 1):
        raise node.error("has statistics of each place (spatial=0), which is not supported")
    if node.get("training_mode", 0):
        axes = [0, *range(2, x.dim())]
        own, spread = x.mean(axes), x.var(axes, correction=0)
        y = F.batch_norm(x, own, spread, scale, bias, False, 0.0, eps)
        return y, mean * momentum + own * (1 - momentum), variance * momentum + spread * (1 - momentum)
    return F.batch_norm(x, mean, variance, scale.to(x.dtype), bias.to(x.dtype), False, 0.0, eps)


@onnx_op("InstanceNormalization")
def instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5))


@onnx_op("GroupNormalization")
def group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Scale and bias of channels since opset 21, of groups before."""
    groups = node["num_groups"]
    if scale.shape[0] != x.shape[1]:
        each = x.shape[1] // groups
        scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return F.group_norm(x, groups, scale, bias, node.get("epsilon", 1e-5))


@onnx_op("LayerNormalization")
def layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
    axis, eps = node.get("axis", -1) % x.dim(), node.get("epsilon", 1e-5)
    sizes = list(x.shape[axis:])
    fits = list(scale.shape) == sizes and (bias is None or list(bias.shape) == sizes)
    y = F.layer_norm(x, sizes, scale if fits else None, bias if fits else None, eps)
    if not fits:
        y = y * scale if bias is None else y * scale + bias
    if not (node.wants(1) or node.wants(2)):
        return y
    axes = list(range(axis, x.dim()))
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    mean = wide.mean(axes, keepdim=True)
    return y, mean, torch.rsqrt(wide.var(axes, correction=0, keepdim=True) + eps)


@onnx_op("RMSNormalization")
def rms_norm(node: Node, x: Tensor, scale: Tensor) -> Tensor:
    axis = node.get("axis", -1) % x.dim()
    sizes = list(x.shape[axis:])
    eps = node.get("epsilon", 1e-5)
    if list(scale.shape) == sizes:
        return F.rms_norm(x, sizes, scale, eps)
    return F.rms_norm(x, sizes, None, eps) * scale


@onnx_op("LRN")
def local_response(node: Node, x: Tensor) -> Tensor:
    """Over channels around each; of an even number, one more behind."""
    size, alpha, beta, bias = node["size"], node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0)
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    square = F.pad((x * x).movedim(1, -1), (before, after))
    summed = torch.stack([square.narrow(-1, tap, x.shape[1]) for tap in range(size)]).sum(0).movedim(-1, 1)
    return x / (bias + alpha / size * summed) ** beta


@onnx_op("LpNormalization")
def lp_norm(node: Node, x: Tensor) -> Tensor:
    axis, power = node.get("axis", -1), node.get("p", 2)
    length = x.abs().sum(axis, keepdim=True) if power == 1 else (x * x).sum(axis, keepdim=True).sqrt()
    return torch.where(length == 0, torch.zeros_like(x), x / length)


@onnx_op("MeanVarianceNormalization")
def mean_variance(node: Node, x: Tensor) -> Tensor:
    axes = node.get("axes", [0, 2, 3])
    mean = x.mean(axes, keepdim=True)
    return (x - mean) / (((x - mean) ** 2).mean(axes, keepdim=True).sqrt() + 1e-9)
