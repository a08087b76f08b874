"""Optimisers of ONNX's training domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.table import onnx_op

DOMAIN = "ai.onnx.preview.training"


def groups(values: tuple[Tensor, ...], kinds: int) -> list[tuple[Tensor, ...]]:
    """For each weight, its tensors of all kinds."""
    count = len(values) // kinds
    return [tuple(values[kind * count + index] for kind in range(kinds)) for index in range(count)]


def regularised(node: Node, weight: Tensor, gradient: Tensor) -> Tensor:
    return gradient + node.get("norm_coefficient", 0.0) * weight


def flat(results: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(value for kind in zip(*results, strict=True) for value in kind)


@onnx_op("Adagrad", domain=DOMAIN)
def adagrad(node: Node, rate: Tensor, step: Tensor, *values: Tensor) -> Any:
    rate = rate / (1 + step.to(rate.dtype) * node.get("decay_factor", 0.0))
    results = []
    for x, g, h in groups(values, 3):
        gradient = regularised(node, x, g)
        sums = h + gradient * gradient
        results.append((x - rate * gradient / (sums.sqrt() + node.get("epsilon", 1e-6)), sums))
    return flat(results)


@onnx_op("Adam", domain=DOMAIN)
def adam(node: Node, rate: Tensor, step: Tensor, *values: Tensor) -> Any:
    a, b = node.get("alpha", 0.9), node.get("beta", 0.999)
    t = step.to(rate.dtype)
    adjusted = torch.where(step > 0, rate * torch.sqrt(1 - torch.pow(b, t)) / (1 - torch.pow(a, t)), rate)
    results = []
    for x, g, v, h in groups(values, 4):
        gradient = regularised(node, x, g)
        first, second = a * v + (1 - a) * gradient, b * h + (1 - b) * gradient * gradient
        new = x - adjusted * first / (second.sqrt() + node.get("epsilon", 1e-6))
        results.append(((1 - node.get("norm_coefficient_post", 0.0)) * new, first, second))
    return flat(results)


@onnx_op("Momentum", domain=DOMAIN)
def momentum(node: Node, rate: Tensor, step: Tensor, *values: Tensor) -> Any:
    a, b = node.get("alpha", 0.9), node.get("beta", 1.0)
    results = []
    for x, g, v in groups(values, 3):
        gradient = regularised(node, x, g)
        share = torch.where(step > 0, torch.tensor(b, dtype=x.dtype), torch.tensor(1.0, dtype=x.dtype))
        moment = a * v + share * gradient
        change = gradient + a * moment if node.get("mode") == "nesterov" else moment
        results.append((x - rate * change, moment))
    return flat(results)
