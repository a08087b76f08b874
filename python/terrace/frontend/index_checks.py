"""Indices that stay in bounds: torch-mlir takes every index as it is, and IREE reads and writes wherever it points.

Where PyTorch counts negative indices from the end, they are counted from the front here. An index that is out of
bounds is replaced by 0, so that no foreign memory is touched, and a check then fails the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols, statically_known_true
from torch.fx.node import Argument

from terrace.frontend.checks import Checks
from terrace.frontend.inserter import Inserter, Size, value_of
from terrace.frontend.symbolic_tensors import number_tensor
from terrace.frontend.value_range import value_range

aten = torch.ops.aten


class IndexBounds:
    """Bounds the indices of a graph's ops. With no `checks`, only negative ones are counted from the front."""

    def __init__(self, graph: torch.fx.Graph, checks: Checks | None) -> None:
        self._graph = graph
        self._checks = checks
        self._checked: set[tuple[Any, ...]] = set()

    def bound(self) -> None:
        """Rewrite all ops that take indices."""
        for node in list(self._graph.nodes):
            rule = RULES.get(node.target)
            if rule is not None:
                rule(self, node)

    def replace(self, node: torch.fx.Node, position: int, size: Size, *, wraps: bool = False) -> None:
        """Bound the index at `position` of the arguments of `node`."""
        index = node.args[position]
        assert isinstance(index, torch.fx.Node)
        node.update_arg(position, self.bounded(node, index, size, wraps=wraps))

    def bounded(self, node: torch.fx.Node, index: torch.fx.Node, size: Size, *, wraps: bool) -> torch.fx.Node:
        """`index` of `node` as one that lies in a dimension of `size`; `wraps`: negative ones count from the end."""
        low, high = value_range(index) or (None, None)
        is_positive = low is not None and is_known(low >= 0)
        is_small = high is not None and is_known(high < value_of(size))
        wraps = wraps and not is_positive
        insert = Inserter(self._graph, node)
        if self._checks is not None and not (is_positive and is_small):
            self._check(self._checks, node, source_of(index), size, wraps=wraps)
        if wraps:
            index = from_front(insert, index, size)
        if self._checks is None or (is_positive and is_small):
            return index
        return insert.call(
            aten.where.self, is_outside(insert, index, size), insert.call(aten.mul.Tensor, index, 0), index
        )

    def bounded_number(
        self, node: torch.fx.Node, number: torch.fx.Node, size: Size, end: Size | None = None
    ) -> torch.fx.Node:
        """The same for an index that is a number; `end` is what it must be less than, if not `size`."""
        insert = Inserter(self._graph, node)
        index = from_front(insert, number_tensor(insert, number), size)
        return insert.number(self.bounded(node, index, size if end is None else end, wraps=False))

    def _check(self, checks: Checks, node: torch.fx.Node, index: torch.fx.Node, size: Size, *, wraps: bool) -> None:
        """Let a check fail the call if an element of `index` is out of bounds."""
        if (index, size, wraps) in self._checked:
            return
        self._checked.add((index, size, wraps))
        insert = Inserter(self._graph, node)
        front = from_front(insert, index, size) if wraps else index
        has_failed = insert.call(aten.any.default, is_outside(insert, front, size))
        end = checks.names.text(value_of(size))
        expected = f"expected {f'-{end}' if wraps else '0'} <= index < {end}"
        checks.indexed.append((value_of(size), index.meta["val"].shape))
        checks.add("index", has_failed, f"{checks.place(node)}: an index is out of range: {expected}")


def is_known(condition: bool | torch.SymBool) -> bool:
    """Whether a condition on sizes always holds."""
    return statically_known_true(condition)


def from_front(insert: Inserter, index: torch.fx.Node, size: Size) -> torch.fx.Node:
    """`index`, with `size` added where it is negative."""
    is_negative = insert.call(aten.lt.Scalar, index, 0)
    return insert.call(aten.where.self, is_negative, insert.call(aten.add.Tensor, index, size), index)


def is_outside(insert: Inserter, index: torch.fx.Node, size: Size) -> torch.fx.Node:
    below = insert.call(aten.lt.Scalar, index, 0)
    return insert.call(aten.logical_or.default, below, insert.call(aten.ge.Scalar, index, size))


def source_of(index: torch.fx.Node) -> torch.fx.Node:
    """The smallest tensor with the same elements, which is cheaper to check."""
    while index.target in (aten.expand.default, aten.unsqueeze.default, aten.view.default) and repeats_all(index):
        index = index.args[0]  # type: ignore[assignment]
    return index


def repeats_all(index: torch.fx.Node) -> bool:
    """Whether an op that repeats elements repeats each at least once. PyTorch takes a dynamic size for 2 or more."""
    sizes = index.meta["val"].shape
    return index.target != aten.expand.default or all(isinstance(size, int) and size > 0 for size in sizes)


# ---------------------------------------------------------------------------------------------------------------------
# Rules: which argument of an op is the index, what it counts in, and what negative ones mean
# ---------------------------------------------------------------------------------------------------------------------


def along_dimension(bounds: IndexBounds, node: torch.fx.Node) -> None:
    """`op(value, dim, index, ...)`. A tensor of rank 0 has one element there; torch-mlir takes no negative `dim`."""
    arguments: Any = node.args
    value, dim = arguments[:2]
    node.update_arg(1, dim % max(value.meta["val"].ndim, 1))
    size = Inserter(node.graph, node).size(value, dim) if value.meta["val"].ndim else 1
    bounds.replace(node, 2, size, wraps=node.target in COUNT_FROM_END)


def of_embedding(bounds: IndexBounds, node: torch.fx.Node) -> None:
    """`op(weight, index, ...)`."""
    arguments: Any = node.args
    bounds.replace(node, 1, Inserter(node.graph, node).size(arguments[0], 0))


def of_embedding_bag(bounds: IndexBounds, node: torch.fx.Node) -> None:
    """`op(weight, index, offsets, ...)`; a bag that begins at the end of `index` is empty."""
    arguments: Any = node.args
    of_embedding(bounds, node)
    insert = Inserter(node.graph, node)
    bounds.replace(node, 2, insert.plus(insert.size(arguments[1], 0), 1))


def of_index(bounds: IndexBounds, node: torch.fx.Node) -> None:
    """`op(value, indices, ...)`, with an index or None for each of the first dimensions; masks are none."""
    arguments: Any = node.args
    value, indices = arguments[:2]
    if any(index is not None and index.meta["val"].dtype == torch.bool for index in indices):
        return
    insert = Inserter(node.graph, node)
    bounded = list(indices)
    for axis, index in enumerate(indices):
        if index is not None:
            size = insert.size(value, axis)
            bounded[axis] = bounds.bounded(node, in_64_bits(insert, index), size, wraps=True)
    node.update_arg(1, bounded)


def in_64_bits(insert: Inserter, index: torch.fx.Node) -> torch.fx.Node:
    """The index as torch-mlir takes it here."""
    if index.meta["val"].dtype == torch.int64:
        return index
    return insert.call(aten._to_copy.default, index, dtype=torch.int64)


def of_one_hot(bounds: IndexBounds, node: torch.fx.Node) -> None:
    """`op(index, classes)`; without the number of classes, the index decides it."""
    arguments: Any = node.args
    if len(arguments) > 1 and arguments[1] != -1:
        bounds.replace(node, 0, arguments[1])


def of_select(bounds: IndexBounds, node: torch.fx.Node) -> None:
    """`op(..., dim, index)` with an index that is known when the program runs."""
    arguments: Any = node.args
    dim, index = arguments[-2:]
    if depends_on_data(index):
        size = Inserter(node.graph, node).size(arguments[0], dim)
        node.update_arg(len(arguments) - 1, bounds.bounded_number(node, index, size))


def of_slice(bounds: IndexBounds, node: torch.fx.Node) -> None:
    """`op(..., dim, start, end, step)` with a length that is known before the program runs, and a start that is not."""
    arguments: Any = node.args
    first = 2 if node.target == aten.slice_scatter.default else 1
    part = arguments[1] if first == 2 else node
    dim, start, _, step = [*arguments, *DEFAULTS[len(arguments) - first :]][first:]
    found = part.meta["val"].shape[dim]
    # Assertions may have told PyTorch the size since.
    length = found if isinstance(found, int) else found.node.maybe_as_int()
    if step != 1 or not depends_on_data(start) or length is None:
        return
    insert = Inserter(node.graph, node)
    size = insert.size(arguments[0], dim)
    within = bounds.bounded_number(node, start, size, insert.plus(size, 1 - length))
    node.args = (*arguments[:first], dim, within, insert.plus(within, length))


DEFAULTS: tuple[Any, ...] = (0, None, None, 1)
"""Of the dim, start, end and step of a slice."""


def depends_on_data(index: Argument) -> bool:
    """Whether a number is known only when the program runs; what depends on sizes is known at the call."""
    return isinstance(index, torch.fx.Node) and bool(free_unbacked_symbols(index.meta["val"]))


COUNT_FROM_END = (aten.index_fill.int_Scalar, aten.index_fill.int_Tensor)
"""The ops on the indices of one dimension that take negative ones."""

RULES: dict[Any, Callable[[IndexBounds, torch.fx.Node], None]] = {
    **dict.fromkeys(
        (
            aten.gather.default,
            aten.index_add.default,
            aten.index_copy.default,
            *COUNT_FROM_END,
            aten.index_reduce.default,
            aten.index_select.default,
            aten.scatter.src,
            aten.scatter.value,
            aten.scatter_add.default,
            aten.scatter_reduce.two,
        ),
        along_dimension,
    ),
    aten._embedding_bag_forward_only.default: of_embedding_bag,
    aten._unsafe_index_put.default: of_index,
    aten.embedding.default: of_embedding,
    aten.index.Tensor: of_index,
    aten.index_put.default: of_index,
    aten.one_hot.default: of_one_hot,
    aten.select.int: of_select,
    aten.select_scatter.default: of_select,
    aten.slice.Tensor: of_slice,
    aten.slice_scatter.default: of_slice,
}
