"""Several index tensors as one, into their dimensions taken as one: graph ops read and write at no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from terrace.frontend.inserter import Inserter

aten = torch.ops.aten


def merge(insert: Inserter, value: torch.fx.Node, indices: Sequence[Any]) -> tuple[torch.fx.Node, list[Any], list[int]]:
    """`value` with one dimension for all that are indexed, the one index into it, and the order its dimensions had.

    Where dimensions that are not indexed stand between them, PyTorch has those of the indices first.
    """
    axes = [axis for axis, index in enumerate(indices) if index is not None]
    rank = value.meta["val"].ndim
    order = list(range(rank))
    if axes[-1] - axes[0] >= len(axes):
        order = axes + [axis for axis in order if axis not in axes]
        value = insert.call(aten.permute.default, value, order)
    first = order.index(axes[0])
    merged = indices[axes[0]]
    for place, axis in enumerate(axes[1:], first + 1):
        scaled = insert.call(aten.mul.Tensor, merged, insert.size(value, place))
        merged = insert.call(aten.add.Tensor, scaled, indices[axis])
    flat = insert.call(aten.flatten.using_ints, value, first, first + len(axes) - 1)
    return flat, [None] * first + [merged], order


def rewrite_index(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Let `index` take one index, where it takes several."""
    arguments: Any = node.args
    value, indices = arguments
    if sum(index is not None for index in indices) > 1:
        flat, merged, _ = merge(Inserter(graph, node), value, indices)
        node.args = (flat, merged)


def put_merged(insert: Inserter, node: torch.fx.Node) -> torch.fx.Node:
    """An `index_put` of one index in the place of `node`, an `index_put` of several."""
    arguments: Any = node.args
    value, indices, *rest = arguments
    flat, merged, order = merge(insert, value, indices)
    assert callable(node.target)
    written = insert.call(node.target, flat, merged, *rest)
    back = insert.call(aten.reshape.default, written, [insert.size(value, axis) for axis in order])
    if order != sorted(order):
        back = insert.call(aten.permute.default, back, [order.index(axis) for axis in range(len(order))])
    node.replace_all_uses_with(back)
    node.graph.erase_node(node)
    return written
