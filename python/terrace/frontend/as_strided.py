"""`as_strided` and `as_strided_scatter`: they reach memory by strides, which only fake tensors know.

They become reshapes, or a look-up. PyTorch makes the first of pools of channels-last and permuted tensors, the second
of `fill_diagonal_`. torch-mlir's own rewriting makes an element of text of each element, and takes no dynamic sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import optimization_hint, statically_known_true
from torch.fx.node import Argument

from terrace.errors import ModelImportError
from terrace.frontend.inserter import Inserter, Size, value_of
from terrace.frontend.source import at_line

aten = torch.ops.aten


def rewrite_all_strided(graph: torch.fx.Graph) -> None:
    """Rewrite each `as_strided` of `graph`. The last comes first: what it reads may be another one's view."""
    for node in reversed(graph.find_nodes(op="call_function", target=aten.as_strided.default)):
        rewrite(graph, node)
    for node in graph.find_nodes(op="call_function", target=aten.as_strided_scatter.default):
        rewrite_scatter(graph, node)


def rewrite_scatter(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Write to the places in memory of the tensor, of which a copy with the same strides is the result."""
    value, source, *rest = node.args
    assert isinstance(value, torch.fx.Node) and isinstance(source, torch.fx.Node)
    sizes: Any = node.args[2]
    strides: Any = node.args[3]
    insert = Inserter(graph, node)
    memory = dense_memory(insert, value, node)
    start = start_of(insert, node, value, rest[2] if len(rest) > 2 else None)
    refuse_foreign_memory(memory, node, source.meta["val"].shape, strides, start)
    places = insert.call(aten.reshape.default, places_in_memory(insert, sizes, strides, start), [-1])
    written = insert.call(aten.index_put.default, memory, [places], insert.call(aten.reshape.default, source, [-1]))
    order = memory_order(value.meta["val"]) or []
    shaped = insert.call(aten.view.default, written, [insert.size(value, axis) for axis in order])
    result = insert.call(aten.permute.default, shaped, [order.index(axis) for axis in range(len(order))])
    result.meta["val"] = node.meta["val"]
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def rewrite(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    owner = owner_of_memory(node.all_input_nodes[0])
    insert = Inserter(graph, node)
    memory = dense_memory(insert, owner, node)
    value = node.meta["val"]
    start = start_of(insert, node, owner, node.args[3] if len(node.args) > 3 else None)
    result = permuted_memory(insert, memory, node, start)
    if result is None:
        result = looked_up(insert, memory, node, start)
    result.meta["val"] = value
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def start_of(insert: Inserter, node: torch.fx.Node, owner: torch.fx.Node, offset: Argument) -> Size:
    """Where in the memory of `owner` the elements of `node` begin; that of its first operand if no offset is given."""
    assert isinstance(node.args[0], torch.fx.Node)
    place = node.args[0].meta["val"].storage_offset() if offset is None else offset
    if not isinstance(place, (int, torch.fx.Node)):
        raise ModelImportError(
            f"{_op_at_line(node)} begins where a view does, at a place that depends on sizes, which is not supported: "
            "give it the offset"
        )
    return insert.plus(place, -owner.meta["val"].storage_offset())


def owner_of_memory(node: torch.fx.Node) -> torch.fx.Node:
    """The first value on whose memory `node` is a view."""
    storage = node.meta["val"].untyped_storage()
    while True:
        values = [value for value in node.all_input_nodes if isinstance(value.meta.get("val"), torch.Tensor)]
        shared = [value for value in values if value.meta["val"].untyped_storage() is storage]
        if not shared:
            return node
        node = shared[0]


def memory_order(value: torch.Tensor) -> list[int] | None:
    """The axes of a tensor from the slowest to the fastest; None if its elements do not fill a piece of memory."""
    wide = [axis for axis, size in enumerate(value.shape) if not statically_known_true(size == 1)]
    wide.sort(key=lambda axis: -optimization_hint(value.stride()[axis]))
    step: int | torch.SymInt = 1
    for axis in reversed(wide):
        if not statically_known_true(value.stride(axis) == step):
            return None
        step = step * value.shape[axis]
    return [axis for axis in range(value.ndim) if axis not in wide] + wide


def dense_memory(insert: Inserter, owner: torch.fx.Node, node: torch.fx.Node) -> torch.fx.Node:
    """All elements of `owner` as a vector, as they lie in memory; raises for `node` if others lie between them."""
    order = memory_order(owner.meta["val"])
    if order is None:
        raise ModelImportError(
            f"{_op_at_line(node)} takes a tensor whose elements do not fill its memory, which is not supported: call "
            "`.contiguous()` on that tensor first"
        )
    return insert.call(aten.view.default, insert.call(aten.permute.default, owner, order), [-1])


def permuted_memory(insert: Inserter, memory: torch.fx.Node, node: torch.fx.Node, start: Size) -> torch.fx.Node | None:
    """`memory` as what `node` gives, if that is all of it under a shape, with axes exchanged."""
    value = node.meta["val"]
    order = memory_order(value)
    is_all = statically_known_true(value.numel() == memory.meta["val"].numel()) and statically_known_true(
        value_of(start) == 0
    )
    if order is None or not is_all:
        return None
    sizes: Any = node.args[1]
    shaped = insert.call(aten.view.default, memory, [sizes[axis] for axis in order])
    return insert.call(aten.permute.default, shaped, [order.index(axis) for axis in range(len(order))])


def looked_up(insert: Inserter, memory: torch.fx.Node, node: torch.fx.Node, start: Size) -> torch.fx.Node:
    """Each element by its place in `memory`."""
    sizes: Any = node.args[1]
    strides: Any = node.args[2]
    value = node.meta["val"]
    refuse_foreign_memory(memory, node, value.shape, strides, start)
    return insert.call(aten.index.Tensor, memory, [places_in_memory(insert, sizes, strides, start)])


def places_in_memory(insert: Inserter, sizes: Sequence[Size], strides: Sequence[Size], start: Size) -> torch.fx.Node:
    """The place in memory of each element of a tensor that has these sizes and strides."""
    places = insert.call(aten.full.default, [1] * len(sizes), start, dtype=torch.int64)
    for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        steps = insert.call(aten.arange.default, size)
        steps = insert.call(aten.mul.Tensor, steps, stride)
        shape = [-1 if other == axis else 1 for other in range(len(sizes))]
        places = insert.call(aten.add.Tensor, places, insert.call(aten.view.default, steps, shape))
    return places


def refuse_foreign_memory(
    memory: torch.fx.Node, node: torch.fx.Node, shape: torch.Size, strides: Sequence[Size], start: Size
) -> None:
    """Raise for elements that lie before or behind those that the program is given."""
    length = memory.meta["val"].numel()
    first = value_of(start)
    last = first + sum((size - 1) * value_of(stride) for size, stride in zip(shape, strides, strict=True))
    is_outside = statically_known_true(first < 0) or statically_known_true(last >= length)
    if is_outside and not any(statically_known_true(size == 0) for size in shape):
        raise ModelImportError(
            f"{_op_at_line(node)} reaches beyond the tensor that it is called on, which is not supported: pass the "
            "whole tensor"
        )


def _op_at_line(node: torch.fx.Node) -> str:
    return f"{str(node.target).removesuffix('.default')}{at_line(node)}"
