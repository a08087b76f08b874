"""Writes at indices: torch-mlir takes every index as it is, so negative ones are counted from the front here.

A write where a mask holds has as many elements as the mask has trues, so it becomes a select, of one size.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch._guards import detect_fake_mode

aten = torch.ops.aten


class Inserter:
    """Makes nodes before `at`, at its line, and works out what they give."""

    def __init__(self, graph: torch.fx.Graph, at: torch.fx.Node) -> None:
        self._graph = graph
        self._at = at

    def call(self, op: Any, *args: Any, **keywords: Any) -> torch.fx.Node:
        """A node that calls `op`; the importer would prefer an old "tensor_meta", so it is not kept."""
        with self._graph.inserting_before(self._at):
            node = self._graph.call_function(op, args, keywords)
        values = torch.fx.node.map_arg(args, lambda argument: argument.meta["val"])
        kept = {name: value for name, value in self._at.meta.items() if name != "tensor_meta"}
        with detect_fake_mode(self._at.meta["val"]) or contextlib.nullcontext():
            node.meta = kept | {"val": op(*values, **keywords)}
        return node


def rewrite_index_put(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Make the indices of an `index_put` count from the front, or make it a select."""
    value, indices, update, *rest = node.args
    assert isinstance(value, torch.fx.Node) and isinstance(indices, (list, tuple))
    assert isinstance(update, torch.fx.Node)
    insert = Inserter(graph, node)
    masked = select(insert, value, indices, update, accumulate=bool(rest and rest[0]))
    if masked is not None:
        node.replace_all_uses_with(masked)
        graph.erase_node(node)
        return
    node.args = (value, [from_front(insert, i, value, axis) for axis, i in enumerate(indices)], update, *rest)


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


def from_front(insert: Inserter, index: torch.fx.Node | None, value: torch.fx.Node, axis: int) -> torch.fx.Node | None:
    """`index`, with the size of `value` along `axis` added where it is negative."""
    if index is None or index.meta["val"].dtype == torch.bool:
        return index
    static = value.meta["val"].shape[axis]
    size = static if isinstance(static, int) else insert.call(aten.sym_size.int, value, axis)
    is_negative = insert.call(aten.lt.Scalar, index, 0)
    return insert.call(aten.where.self, is_negative, insert.call(aten.add.Tensor, index, size), index)
