"""Ops along a dimension, of tensors that have none: PyTorch takes these for vectors of one element.

torch-mlir's passes refuse them, crash on them, or never end.
"""

from __future__ import annotations

import operator

import torch

from terrace.frontend.inserter import Inserter

aten = torch.ops.aten

ALONG_A_DIMENSION = {
    aten._log_softmax,
    aten._softmax,
    aten.all,
    aten.any,
    aten.argmax,
    aten.argmin,
    aten.cumprod,
    aten.cumsum,
    aten.gather,
    aten.logcumsumexp,
    aten.max,
    aten.min,
    aten.prod,
    aten.scatter,
    aten.scatter_add,
    aten.scatter_reduce,
    aten.softmax,
    aten.sort,
    aten.topk,
    aten.var,
    aten.var_mean,
}


def give_dimensions(graph: torch.fx.Graph) -> None:
    """Let ops along a dimension, of tensors of rank 0, take and give vectors."""
    for node in list(graph.nodes):
        if getattr(node.target, "overloadpacket", None) not in ALONG_A_DIMENSION:
            continue
        # `max` and `min` of two tensors go element by element.
        if rank(node.args[0]) == 0 and node.target not in (aten.max.other, aten.min.other):
            give_dimension(graph, node)


def rank(value: object) -> int | None:
    """The rank of a tensor; None for anything else."""
    tensor = value.meta.get("val") if isinstance(value, torch.fx.Node) else None
    return tensor.ndim if isinstance(tensor, torch.Tensor) else None


def give_dimension(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    insert = Inserter(graph, node)

    def vector(value: torch.fx.Node) -> torch.fx.Node:
        return insert.call(aten.view.default, value, [1]) if rank(value) == 0 else value

    args, keywords = torch.fx.node.map_arg((node.args, node.kwargs), vector)
    assert callable(node.target)
    whole = insert.call(node.target, *args, **keywords)
    results = [user for user in node.users if user.target is operator.getitem] or [node]
    for result in results:
        at = Inserter(graph, result)
        given = whole if result is node else at.call(operator.getitem, whole, result.args[1])
        if rank(given) != rank(result):
            given = at.call(aten.view.default, given, [])
        result.replace_all_uses_with(given)
        if result is not node:
            graph.erase_node(result)
    graph.erase_node(node)
