"""Random numbers: of PyTorch's distributions, drawn anew at each call. A node's own seed is not followed."""

from __future__ import annotations

import torch
from torch import Tensor

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.table import onnx_op
from terrace.frontend.onnx.values import torch_type_of


@onnx_op("RandomUniformLike", "RandomNormalLike")
def random_like(node: Node, x: Tensor) -> Tensor:
    return drawn(node, list(x.shape), torch_type_of(node["dtype"]) if "dtype" in node.protos else x.dtype)


@onnx_op("RandomUniform", "RandomNormal")
def random(node: Node) -> Tensor:
    return drawn(node, node["shape"], torch_type_of(node.get("dtype", 1)))


def drawn(node: Node, shape: list[int], dtype: torch.dtype) -> Tensor:
    if "Uniform" in node.op:
        low, high = node.get("low", 0.0), node.get("high", 1.0)
        return torch.rand(shape, dtype=dtype) * (high - low) + low
    return torch.randn(shape, dtype=dtype) * node.get("scale", 1.0) + node.get("mean", 0.0)


@onnx_op("Multinomial")
def multinomial(node: Node, x: Tensor) -> Tensor:
    """Places drawn by logs of weights."""
    found = torch.multinomial(torch.softmax(x.float(), -1), node.get("sample_size", 1), replacement=True)
    return found.to(torch_type_of(node.get("dtype", 6)))
