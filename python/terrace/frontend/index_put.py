"""Writes at indices, by the ops that torch-mlir has.

One where a mask holds has as many elements as the mask has trues, so it becomes a select, of one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import statically_known_true

from terrace.frontend.inserter import Inserter, Size
from terrace.frontend.merged_index import put_merged

aten = torch.ops.aten


def rewrite_index_put(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Make an `index_put` by a mask a select, and let another have all that it writes as it writes it."""
    value, _, update, *rest = node.args
    indices: Any = node.args[1]
    assert isinstance(value, torch.fx.Node) and isinstance(update, torch.fx.Node)
    insert = Inserter(graph, node)
    if writes_nothing(indices):
        node.replace_all_uses_with(value)
        graph.erase_node(node)
        return
    masked = select(insert, value, indices, update, accumulate=bool(rest and rest[0]))
    if masked is not None:
        node.replace_all_uses_with(masked)
        graph.erase_node(node)
    elif not any(is_mask(index) for index in indices):  # Those are refused.
        written = put_merged(insert, node) if sum(index is not None for index in indices) > 1 else node
        operands: Any = written.args
        written.args = (operands[0], *whole(Inserter(graph, written), *operands[:3]), *rest)


def whole(
    insert: Inserter, value: torch.fx.Node, indices: Sequence[torch.fx.Node | None], update: torch.fx.Node
) -> tuple[list[Any], Any]:
    """The indices in one shape, and the update in that of what it is written to.

    torch-mlir takes sizes that are broadcast for 1 or more, and would write somewhere when there is no index.
    """
    given = [index for index in indices if index is not None]
    shape = torch.broadcast_shapes(*(index.meta["val"].shape for index in given))
    spread = [None if index is None else expanded(insert, index, shape, given) for index in indices]
    values = [None if index is None else index.meta["val"] for index in indices]
    written = aten.index.Tensor(value.meta["val"], values).shape
    update = expanded(insert, update, written, [*given, value])
    if len(shape) < 2:
        return spread, update
    # Of several sizes, torch-mlir divides by the inner ones.
    places = [axis for axis, index in enumerate(indices) if index is not None]
    first = places[0] if places[-1] - places[0] < len(places) else 0
    flat = [None if index is None else insert.call(aten.flatten.using_ints, index, 0, -1) for index in spread]
    return flat, insert.call(aten.flatten.using_ints, update, first, first + len(shape) - 1)


def expanded(
    insert: Inserter, tensor: torch.fx.Node, shape: Sequence[Any], sources: Sequence[torch.fx.Node]
) -> torch.fx.Node:
    """`tensor` in `shape`, whose dynamic sizes are some of those of `sources`."""
    found = tensor.meta["val"].shape
    if len(found) == len(shape) and all(statically_known_true(a == b) for a, b in zip(found, shape, strict=True)):
        return tensor
    sizes: list[Size] = []
    for size in shape:
        places = [(source, axis) for source in sources for axis in range(source.meta["val"].ndim)]
        same = [place for place in places if statically_known_true(place[0].meta["val"].shape[place[1]] == size)]
        sizes.append(size if isinstance(size, int) else insert.size(*same[0]))
    return insert.call(aten.expand.default, tensor, sizes)


def select(
    insert: Inserter,
    value: torch.fx.Node,
    indices: Sequence[torch.fx.Node | None],
    update: torch.fx.Node,
    *,
    accumulate: bool,
) -> torch.fx.Node | None:
    """The write of one element wherever a mask over the first dimensions holds; None for any other write."""
    mask = indices[0]
    if len(indices) != 1 or mask is None or not is_mask(mask):
        return None
    if update.meta["val"].ndim != 0:
        return None
    for _ in range(value.meta["val"].ndim - mask.meta["val"].ndim):
        mask = insert.call(aten.unsqueeze.default, mask, -1)
    written = insert.call(aten.add.Tensor, value, update) if accumulate else update
    return insert.call(aten.where.self, mask, written, value)


def writes_nothing(indices: Sequence[torch.fx.Node | None]) -> bool:
    """Whether there is no index, for all sizes: torch-mlir divides by the count of those."""
    return any(index is not None and statically_known_true(index.meta["val"].numel() == 0) for index in indices)


def is_mask(index: torch.fx.Node | None) -> bool:
    """Whether one of the indices of an op is a mask; None, which takes all, is none."""
    return index is not None and index.meta["val"].dtype in (torch.bool, torch.uint8)


def drop_empty_scatter(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Take `op(value, dim, index, ...)` away if it writes nothing."""
    value, _, index = node.args[:3]
    assert isinstance(value, torch.fx.Node) and isinstance(index, torch.fx.Node)
    if writes_nothing([index]):
        node.replace_all_uses_with(value)
        graph.erase_node(node)


def rewrite_along(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """A write at the indices of one dimension, `op(value, dim, index, source)`, as an `index_put`.

    A tensor of rank 0 has one element along its only dimension.
    """
    value, dim, index, source = node.args
    assert isinstance(value, torch.fx.Node) and isinstance(index, torch.fx.Node) and isinstance(dim, int)
    if writes_nothing([index]):
        node.replace_all_uses_with(value)
        graph.erase_node(node)
        return
    insert = Inserter(graph, node)
    rank = value.meta["val"].ndim
    if not isinstance(source, torch.fx.Node):
        source = insert.call(aten.scalar_tensor.default, source, dtype=value.meta["val"].dtype)
    source = insert.call(aten.mul.Tensor, source, node.kwargs["alpha"]) if "alpha" in node.kwargs else source
    if rank == 0:
        value, source = (insert.call(aten.reshape.default, operand, [1]) for operand in (value, source))
    indices = [None] * (dim % max(rank, 1)) + [index_vector(insert, index)]
    accumulate = node.target == aten.index_add.default
    written = insert.call(aten.index_put.default, value, *whole(insert, value, indices, source), accumulate)
    if rank == 0:
        written = insert.call(aten.reshape.default, written, [])
    node.replace_all_uses_with(written)
    graph.erase_node(node)


def index_vector(insert: Inserter, index: torch.fx.Node) -> torch.fx.Node:
    return insert.call(aten.reshape.default, index, [-1])
