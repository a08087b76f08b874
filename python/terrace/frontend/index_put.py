"""Writes at indices, by the ops that torch-mlir has.

One where a mask holds has as many elements as the mask has trues, so it becomes a select, of one size.
"""

from __future__ import annotations

from typing import Any

import torch

from terrace.frontend.inserter import Inserter

aten = torch.ops.aten


def rewrite_index_put(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Make an `index_put` by a mask a select."""
    value, indices, update, *rest = node.args
    assert isinstance(value, torch.fx.Node) and isinstance(indices, (list, tuple))
    assert isinstance(update, torch.fx.Node)
    insert = Inserter(graph, node)
    masked = select(insert, value, indices, update, accumulate=bool(rest and rest[0]))
    if masked is not None:
        node.replace_all_uses_with(masked)
        graph.erase_node(node)


def select(insert: Inserter, value: Any, indices: Any, update: Any, *, accumulate: bool) -> torch.fx.Node | None:
    """The write of one element wherever a mask over the first dimensions holds; None for any other write."""
    mask = indices[0]
    if len(indices) != 1 or mask is None or mask.meta["val"].dtype != torch.bool:
        return None
    if update.meta["val"].ndim != 0:
        return None
    for _ in range(value.meta["val"].ndim - mask.meta["val"].ndim):
        mask = insert.call(aten.unsqueeze.default, mask, -1)
    written = insert.call(aten.add.Tensor, value, update) if accumulate else update
    return insert.call(aten.where.self, mask, written, value)


def rewrite_along(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """A write at the indices of one dimension, `op(value, dim, index, source)`, as an `index_put`.

    A tensor of rank 0 has one element along its only dimension.
    """
    value, dim, index, source = node.args
    assert isinstance(value, torch.fx.Node) and isinstance(index, torch.fx.Node) and isinstance(dim, int)
    insert = Inserter(graph, node)
    rank = value.meta["val"].ndim
    if not isinstance(source, torch.fx.Node):
        source = insert.call(aten.scalar_tensor.default, source, dtype=value.meta["val"].dtype)
    source = insert.call(aten.mul.Tensor, source, node.kwargs["alpha"]) if "alpha" in node.kwargs else source
    if rank == 0:
        value, source = (insert.call(aten.reshape.default, operand, [1]) for operand in (value, source))
    indices = [None] * (dim % max(rank, 1)) + [index_vector(insert, index)]
    accumulate = node.target == aten.index_add.default
    written = insert.call(aten.index_put.default, value, indices, source, accumulate)
    if rank == 0:
        written = insert.call(aten.reshape.default, written, [])
    node.replace_all_uses_with(written)
    graph.erase_node(node)


def index_vector(insert: Inserter, index: torch.fx.Node) -> torch.fx.Node:
    return insert.call(aten.reshape.default, index, [-1])
