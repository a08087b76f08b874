"""State that a failed check leaves as it was.

A buffer that is written in place, at an index or a slice, is given the elements again that it has there: it is never
copied. Any other new value is chosen or not as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from terrace.frontend.inserter import Inserter

aten = torch.ops.aten


def guard_states(
    graph: torch.fx.Graph, code: torch.fx.Node, states: Mapping[torch.fx.Node, torch.fx.Node]
) -> list[torch.fx.Node]:
    """What to store for `states`, a map of placeholders to new values: these, or the old ones if `code` is not 0."""
    failed = Inserter(graph, graph.output_node()).call(aten.ne.Scalar, code, 0)
    needed = ancestors(failed)
    updates = {old: updates_of(old, new) for old, new in states.items()}
    in_place = {old: nodes for old, nodes in updates.items() if nodes and not needed & set(nodes)}
    places = {node: place for place, node in enumerate(graph.nodes)}
    written = sorted((node for nodes in in_place.values() for node in nodes), key=lambda node: places[node])
    if written:
        # What the checks need is computed before anything is written.
        for node in sorted(needed, key=lambda node: places[node]):
            if places[node] > places[written[0]]:
                written[0].prepend(node)
    for node in written:
        keep_elements(graph, node, failed)
    kept = []
    for old, new in states.items():
        insert = Inserter(graph, graph.output_node())
        kept.append(new if old in in_place else insert.call(aten.where.self, failed, old, new))
    return kept


def ancestors(node: torch.fx.Node) -> set[torch.fx.Node]:
    """A node and all that it is computed from."""
    found, pending = {node}, [node]
    while pending:
        new = set(pending.pop().all_input_nodes) - found
        found |= new
        pending += new
    return found


def updates_of(old: torch.fx.Node, new: torch.fx.Node) -> list[torch.fx.Node]:
    """The writes to parts of `old`, seen in any shape, that make `new` of it; none if it is made in another way."""
    updates: list[torch.fx.Node] = []
    while new is not old:
        if new.target not in UPDATE_POSITIONS and new.target not in RESHAPES:
            return []
        updates += [new] if new.target in UPDATE_POSITIONS else []
        base = new.args[0]
        assert isinstance(base, torch.fx.Node)
        new = base
    return updates


def keep_elements(graph: torch.fx.Graph, node: torch.fx.Node, failed: torch.fx.Node) -> None:
    """Let the write `node` write what is there already, or add nothing, if `failed`."""
    insert = Inserter(graph, node)
    base, position = node.args[0], UPDATE_POSITIONS[node.target]
    update = node.args[position]
    if node.target == aten.index_put.default and len(node.args) > 3 and node.args[3]:
        kept = insert.call(aten.zeros_like.default, update)
    elif node.target == aten.index_put.default:
        kept = insert.call(aten.index.Tensor, base, node.args[1])
    elif node.target == aten.slice_scatter.default:
        kept = insert.call(aten.slice.Tensor, base, *node.args[2:])
    else:
        kept = insert.call(aten.select.int, base, *node.args[2:])
    node.update_arg(position, insert.call(aten.where.self, failed, kept, update))


UPDATE_POSITIONS: dict[Any, int] = {
    aten.index_put.default: 2,
    aten.select_scatter.default: 1,
    aten.slice_scatter.default: 1,
}
"""Writes to a part of their first argument, and which argument is what they write."""

RESHAPES = {
    aten.flatten.using_ints,
    aten.reshape.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.view.default,
}
"""Ops that keep the order of the elements in memory."""
