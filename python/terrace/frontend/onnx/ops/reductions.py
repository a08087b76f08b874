"""Reductions, running sums, places of extremes, orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.elementwise import widened
from terrace.frontend.onnx.ops.shapes import sized
from terrace.frontend.onnx.table import onnx_op
from terrace.frontend.onnx.values import as_tensor

Reduction = Callable[[Tensor, list[int], bool], Tensor]


def product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keepdim=keep, dtype=x.dtype)
    return x


def total(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.sum(x, axes, keepdim=keep, dtype=x.dtype)


def truth(one: Callable[..., Tensor], integer: Callable[..., Tensor]) -> Reduction:
    """`one`, for truth values `integer`."""
    return lambda x, axes, keep: (integer if x.dtype == torch.bool else one)(x, axes, keep)


def length(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    wide = x if x.is_floating_point() else x.double()
    return torch.sqrt(torch.sum(wide * wide, axes, keepdim=keep)).to(x.dtype)


def mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if x.is_floating_point():
        return torch.mean(x, axes, keepdim=keep)
    return torch.mean(x.double(), axes, keepdim=keep).to(x.dtype)


def in_floats(one: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: one(x) if x.is_floating_point() else one(x.double()).to(x.dtype)


def log_sum_exp(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.logsumexp(x if x.is_floating_point() else x.double(), axes, keepdim=keep).to(x.dtype)


REDUCTIONS: dict[str, Reduction] = {
    "ReduceSum": total,
    "ReduceMean": mean,
    "ReduceMax": truth(torch.amax, torch.any),
    "ReduceMin": truth(torch.amin, torch.all),
    "ReduceProd": product,
    "ReduceL1": lambda x, axes, keep: total(x.abs(), axes, keep),
    "ReduceL2": length,
    "ReduceSumSquare": lambda x, axes, keep: total(x * x, axes, keep),
    "ReduceLogSum": lambda x, axes, keep: in_floats(torch.log)(total(x, axes, keep)),
    "ReduceLogSumExp": log_sum_exp,
}


@onnx_op(*REDUCTIONS)
@sized
def reduce(node: Node, x: Any, axes: Any = None) -> Tensor:
    """Over the axes given, or all; over none by `noop_with_empty_axes`: then only what is done to an element."""
    x = as_tensor(x)
    wanted = node.get("axes") if axes is None else node.numbers(1, axes, "axes")
    if not wanted:
        if node.get("noop_with_empty_axes", 0):
            one = x.unsqueeze(-1)
            return widened(lambda value: REDUCTIONS[node.op](value, [value.dim() - 1], False), one)
        wanted = list(range(x.dim()))
    keep = bool(node.get("keepdims", 1))
    wanted = [axis % max(x.dim(), 1) for axis in wanted]
    if not wanted:
        return REDUCTIONS[node.op](x.reshape(1), [0], False)
    if node.op in ("ReduceMax", "ReduceMin") and any(isinstance(x.shape[a], int) and x.shape[a] == 0 for a in wanted):
        shape = [1 if axis in wanted else size for axis, size in enumerate(x.shape) if keep or axis not in wanted]
        return torch.full(shape, extreme_of(x.dtype, node.op == "ReduceMin"), dtype=x.dtype)
    return widened(lambda value: REDUCTIONS[node.op](value, wanted, keep), x)


def extreme_of(dtype: torch.dtype, largest: bool) -> float | int | bool:
    """What leaves a minimum (`largest`) or a maximum as it is."""
    if dtype == torch.bool:
        return largest
    if dtype.is_floating_point:
        return float("inf") if largest else float("-inf")
    return torch.iinfo(dtype).max if largest else torch.iinfo(dtype).min


@onnx_op("ArgMax", "ArgMin")
def arg(node: Node, x: Tensor) -> Tensor:
    axis, keep = node.get("axis", 0), bool(node.get("keepdims", 1))
    one = torch.argmax if node.op == "ArgMax" else torch.argmin
    if not node.get("select_last_index", 0):
        return one(x, axis, keepdim=keep)
    return x.shape[axis] - 1 - one(x.flip(axis), axis, keepdim=keep)


@onnx_op("CumSum", "CumProd")
@sized
def cumulative(node: Node, x: Any, axis: Any) -> Tensor:
    """A running sum or product, from the end on with `reverse`, without an element itself with `exclusive`."""
    x = as_tensor(x)
    along = node.numbers(1, axis, "an axis")[0] % x.dim()
    one = torch.cumsum if node.op == "CumSum" else torch.cumprod
    if node.get("reverse", 0):
        x = x.flip(along)
    if node.get("exclusive", 0):
        first = torch.full_like(x.narrow(along, 0, 1), 0 if node.op == "CumSum" else 1)
        x = torch.cat([first, x.narrow(along, 0, x.shape[along] - 1)], along)
    result = one(x, along, dtype=x.dtype)
    return result.flip(along) if node.get("reverse", 0) else result


@onnx_op("TopK")
@sized
def top_k(node: Node, x: Any, k: Any = None) -> tuple[Tensor, Tensor]:
    x = as_tensor(x)
    count = node["k"] if k is None else node.numbers(1, k, "a count")[0]
    axis, largest = node.get("axis", -1), bool(node.get("largest", 1))
    wide = x.to(torch.int64) if x.dtype in (torch.uint64, torch.uint32, torch.uint16) else x
    # Of equal elements the first: a stable sort.
    values, places = torch.sort(wide, dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, count).to(x.dtype), places.narrow(axis, 0, count)


@onnx_op("NonZero")
def non_zero(node: Node, x: Tensor) -> Tensor:
    return torch.nonzero(x).t()


@onnx_op("Unique")
def unique(node: Node, x: Tensor) -> tuple[Tensor, ...]:
    axis = node.get("axis")
    if node.results == 1 or (node.get("sorted", 1) and not node.wants(1)):
        found = torch.unique(x, return_inverse=True, return_counts=True, dim=axis)
        if node.get("sorted", 1):
            return found[0], found[0], found[1], found[2]
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True, dim=axis)
    flat = inverse.reshape(-1)
    size = values.shape[axis or 0]
    first = torch.full((size,), flat.shape[0], dtype=torch.int64)
    first = first.scatter_reduce(0, flat, torch.arange(flat.shape[0]), "amin")
    if node.get("sorted", 1):
        return values, first, inverse, counts
    order = torch.argsort(first)
    place = torch.empty_like(order).scatter(0, order, torch.arange(size))
    return values.index_select(axis or 0, order), first[order], place[inverse], counts[order]
