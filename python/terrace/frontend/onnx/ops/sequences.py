"""Sequences whose length is known: lists of values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.shapes import sized
from terrace.frontend.onnx.table import onnx_op
from terrace.frontend.onnx.values import as_tensor


@onnx_op("SequenceConstruct")
def construct(node: Node, *values: Any) -> Any:
    return (list(values),)


@onnx_op("SequenceEmpty")
def empty(node: Node) -> Any:
    return ([],)


@onnx_op("SequenceInsert")
@sized
def insert(node: Node, values: list[Any], value: Any, place: Any = None) -> Any:
    at = len(values) if place is None else node.numbers(2, place, "a place")[0]
    at = at + len(values) if at < 0 else at
    return ([*values[:at], as_tensor(value), *values[at:]],)


@onnx_op("SequenceErase")
@sized
def erase(node: Node, values: list[Any], place: Any = None) -> Any:
    at = -1 if place is None else node.numbers(1, place, "a place")[0]
    at %= len(values)
    return (values[:at] + values[at + 1 :],)


@onnx_op("SequenceAt")
@sized
def at(node: Node, values: list[Any], place: Any) -> Any:
    return values[node.numbers(1, place, "a place")[0]]


@onnx_op("SequenceLength")
def length(node: Node, values: list[Any]) -> Any:
    return np.array(len(values))


@onnx_op("ConcatFromSequence")
def concat(node: Node, values: list[Any]) -> Any:
    return (torch.stack if node.get("new_axis", 0) else torch.cat)(values, node["axis"])


@onnx_op("SplitToSequence")
@sized
def split(node: Node, x: Any, sizes: Any = None) -> Any:
    x = as_tensor(x)
    axis = node.get("axis", 0)
    if sizes is None:
        parts = list(torch.split(x, 1, axis))
        return ([part.squeeze(axis) for part in parts] if not node.get("keepdims", 1) else parts,)
    found = node.known(1, sizes, "sizes")
    wanted = found.item() if found.ndim == 0 else found.tolist()
    return (list(torch.split(x, wanted, axis)),)
