"""Control flow in a graph: `cond`, `while_loop`, `scan` and `map`, whose bodies are graphs of their own.

A body hangs on its node, and takes by placeholders all that it reads: `cond`'s operands; `while_loop`'s carried values
and what both of its graphs read besides; `scan`'s carried values, slices of its sequences, and what it reads besides.
`map` is a `scan` that carries nothing. A `scan` takes one argument more than PyTorch's: the dynamic sizes of what it
stacks, rows aside.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch._ops import HigherOrderOperator

from terrace.errors import ModelImportError
from terrace.frontend.source import at_line

COND = torch.ops.higher_order.cond
WHILE_LOOP = torch.ops.higher_order.while_loop
SCAN = torch.ops.higher_order.scan
MAP = torch.ops.higher_order.map_impl

BODIES = "terrace_bodies"
"""The entry of a node's "meta" with its graphs, in the order in which the op takes them."""


def attach_bodies(graph: torch.fx.Graph, module: torch.fx.GraphModule) -> None:
    """Hang copies of its bodies, which `module` holds, on each node of `graph`, and on those in the bodies.

    Raises `ModelImportError` for other ops that take graphs.
    """
    for node in list(graph.nodes):
        if not isinstance(node.target, HigherOrderOperator):
            continue
        if node.target not in (COND, WHILE_LOOP, SCAN, MAP):
            raise ModelImportError(
                f"the model calls torch's {node.target.name()}{at_line(node)}, which is not supported: compute all"
                " branches and choose by torch.where, or write a loop of Python whose length is fixed"
            )
        holders = [value for value in node.all_input_nodes if value.op == "get_attr"]
        node.meta[BODIES] = []
        for holder in holders:
            body = getattr(module, str(holder.target))
            node.meta[BODIES].append(copy.deepcopy(body.graph))
            attach_bodies(node.meta[BODIES][-1], body)
        if node.target is MAP:
            body, sequences, others = node.args
            node.target, node.args = SCAN, (body, [], sequences, others)
        if node.target is SCAN:
            node.args = (*node.args[:4], stacked_sizes(node))


def stacked_sizes(node: torch.fx.Node) -> list[torch.fx.Node]:
    """The dynamic sizes of what a scan stacks, without their numbers of rows, in order."""
    carried: Any = node.args[1]
    stacks = node.meta["val"][len(carried) :]
    sizes = [size for value in stacks for size in value.shape[1:] if isinstance(size, torch.SymInt)]
    return [known_size(node, size) for size in sizes]


def known_size(at: torch.fx.Node, size: torch.SymInt) -> torch.fx.Node:
    """A node before `at` that gives `size`; made of a tensor that has it."""
    for node in at.graph.nodes:
        if node is at:
            break
        value = node.meta.get("val")
        if isinstance(value, torch.SymInt) and value.node.expr == size.node.expr:
            return node
        for axis, own in enumerate(value.shape if isinstance(value, torch.Tensor) else ()):
            if isinstance(own, torch.SymInt) and own.node.expr == size.node.expr:
                with at.graph.inserting_before(at):
                    made = at.graph.call_function(torch.ops.aten.sym_size.int, (node, axis))
                made.meta = {"val": own, "stack_trace": at.meta.get("stack_trace")}
                return made
    raise ModelImportError(
        f"{at.target}{at_line(at)} stacks tensors whose size, {size}, is not that of a tensor before it, which is not"
        " supported: give a tensor of that size to the model"
    )


def bodies_of(node: torch.fx.Node) -> list[torch.fx.Graph]:
    """The graphs that a node runs; none for what is no control flow."""
    found: list[torch.fx.Graph] = node.meta.get(BODIES, []) if isinstance(node.target, HigherOrderOperator) else []
    return found


def nodes_with_bodies(graph: torch.fx.Graph) -> Iterator[torch.fx.Node]:
    """The control flow of a graph, without what is in its bodies."""
    return (node for node in list(graph.nodes) if bodies_of(node))


def all_graphs(graph: torch.fx.Graph) -> Iterator[torch.fx.Graph]:
    """A graph, and all bodies in it."""
    yield graph
    for node in nodes_with_bodies(graph):
        for body in bodies_of(node):
            yield from all_graphs(body)


def results_of(body: torch.fx.Graph) -> list[Any]:
    """What a body gives: nodes, or constants."""
    given = body.output_node().args[0]
    return list(given) if isinstance(given, (list, tuple)) else [given]


def insert_result(node: torch.fx.Node, place: int, value: object) -> torch.fx.Node:
    """Let a node of control flow give one result more, at `place`: a node that stands for it."""
    for user in list(node.users):
        if user.target is operator.getitem and user.args[1] >= place:  # type: ignore[operator]
            user.update_arg(1, user.args[1] + 1)  # type: ignore[operator]
    node.meta["val"] = [*node.meta["val"][:place], value, *node.meta["val"][place:]]
    with node.graph.inserting_after(node):
        result = node.graph.call_function(operator.getitem, (node, place))
    result.meta = {name: kept for name, kept in node.meta.items() if name not in (BODIES, "tensor_meta")}
    result.meta["val"] = value
    return result
