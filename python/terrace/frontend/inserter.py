"""Makes nodes in a graph, each with what it gives."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

Size = int | torch.fx.Node
"""An int, or the node of a symbolic one."""


def value_of(size: Size) -> int | torch.SymInt:
    return size.meta["val"] if isinstance(size, torch.fx.Node) else size


def fake_mode_of(graph: torch.fx.Graph) -> Any:
    """What the values of `graph` were computed under; None if they are numbers."""
    values = (node.meta.get("val") for node in graph.nodes)
    return next((value.fake_mode for value in values if isinstance(value, FakeTensor)), None)


class Inserter:
    """Makes nodes before `at`, at its line, and works out what they give."""

    def __init__(self, graph: torch.fx.Graph, at: torch.fx.Node) -> None:
        self._graph = graph
        self._at = at

    def call(self, op: Callable[..., Any], *args: Any, **keywords: Any) -> torch.fx.Node:
        """A node that calls `op`; the importer would prefer an old "tensor_meta", so it is not kept."""
        with self._graph.inserting_before(self._at):
            node = self._graph.call_function(op, args, keywords)
        values = torch.fx.node.map_arg(args, lambda argument: argument.meta["val"])
        kept = {name: value for name, value in self._at.meta.items() if name != "tensor_meta"}
        # An op that makes a tensor of none would make a real one.
        with fake_mode_of(self._graph) or contextlib.nullcontext():
            node.meta = kept | {"val": op(*values, **keywords)}
        return node

    def size(self, value: torch.fx.Node, axis: int) -> Size:
        """The size of `value` along `axis`, as a number if it is static."""
        static = value.meta["val"].shape[axis]
        return static if isinstance(static, int) else self.call(torch.ops.aten.sym_size.int, value, axis)

    def plus(self, size: Size, distance: int) -> Size:
        """`size` and `distance` more."""
        return size + distance if isinstance(size, int) else self.call(operator.add, size, distance)

    def number(self, value: torch.fx.Node) -> torch.fx.Node:
        """The element of an integer tensor of rank 0 as a number."""
        node = self.call(torch.ops.aten._local_scalar_dense.default, value)
        # What the importer would make of it; for that it wants a "tensor_meta".
        node.target = torch.ops.aten.Int.Tensor
        return node
