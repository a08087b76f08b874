"""`view(dtype)`: only a change between types of one width is left; parts of elements are shifted and masked.

x86 and ARM keep the lowest byte first, and so does every target of ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch._ops import OpOverload

from terrace.frontend.inserter import Inserter

aten = torch.ops.aten

INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The signed integer of each size in bytes."""


def rewrite_view_dtype(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Rewrite a `view` as another dtype."""
    value, dtype = node.args
    assert isinstance(value, torch.fx.Node) and isinstance(dtype, torch.dtype)
    insert = Inserter(graph, node)
    integers = to_bits(insert, value)
    have, want = value.meta["val"].element_size(), dtype.itemsize
    if have > want:
        integers = split(insert, integers, INTEGERS[want])
    elif have < want:
        integers = joined(insert, integers, INTEGERS[want])
    result = from_bits(insert, integers, dtype)
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def to_bits(insert: Inserter, value: torch.fx.Node) -> torch.fx.Node:
    """The bits of each element as a signed integer."""
    dtype = value.meta["val"].dtype
    signed = INTEGERS[dtype.itemsize]
    if dtype == signed:
        return value
    if dtype.is_floating_point:
        return insert.call(aten.view.dtype, value, signed)
    return insert.call(aten._to_copy.default, value, dtype=signed)


def from_bits(insert: Inserter, integers: torch.fx.Node, dtype: torch.dtype) -> torch.fx.Node:
    """The inverse of `to_bits`."""
    if integers.meta["val"].dtype == dtype:
        return integers
    if dtype.is_floating_point:
        return insert.call(aten.view.dtype, integers, dtype)
    return insert.call(aten._to_copy.default, integers, dtype=dtype)


def split(insert: Inserter, integers: torch.fx.Node, narrow: torch.dtype) -> torch.fx.Node:
    """Each integer as several narrow ones, beside each other in the last dimension."""
    bits = 8 * narrow.itemsize
    count = integers.meta["val"].element_size() // narrow.itemsize
    shifted = [shift(insert, aten.bitwise_right_shift.Tensor, integers, bits * place) for place in range(count)]
    parts = [insert.call(aten._to_copy.default, part, dtype=narrow) for part in shifted]
    stacked = insert.call(aten.stack.default, parts, -1)
    return insert.call(aten.view.default, stacked, [*leading_sizes(insert, integers), -1])


def joined(insert: Inserter, integers: torch.fx.Node, wide: torch.dtype) -> torch.fx.Node:
    """Several integers that lie beside each other in the last dimension as one."""
    value = integers.meta["val"]
    bits, count = 8 * value.element_size(), wide.itemsize // value.element_size()
    grouped = insert.call(aten.view.default, integers, [*leading_sizes(insert, integers), -1, count])
    whole = None
    for place in range(count):
        part = insert.call(aten.select.int, grouped, -1, place)
        part = insert.call(aten._to_copy.default, part, dtype=wide)
        if place < count - 1:
            # The sign of a lower part would fill the bits of the higher ones.
            part = insert.call(aten.bitwise_and.Scalar, part, (1 << bits) - 1)
        part = shift(insert, aten.bitwise_left_shift.Tensor, part, bits * place)
        whole = part if whole is None else insert.call(aten.bitwise_or.Tensor, whole, part)
    assert whole is not None
    return whole


def shift(insert: Inserter, op: OpOverload, value: torch.fx.Node, bits: int) -> torch.fx.Node:
    """`value` shifted; torch-mlir has no shift by a number."""
    if bits == 0:
        return value
    return insert.call(op, value, insert.call(aten.full.default, [], bits, dtype=value.meta["val"].dtype))


def leading_sizes(insert: Inserter, value: torch.fx.Node) -> list[Any]:
    """All sizes but the last."""
    shape = value.meta["val"].shape[:-1]
    return [s if isinstance(s, int) else insert.call(aten.sym_size.int, value, axis) for axis, s in enumerate(shape)]
