"""What a `loop.load_tile` or `loop.store_tile` op says, for the targets that lower it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from terrace.dialects.base import attributes_of, shape_of
from terrace.mlir import arith, ir, memref
from terrace.passes import fail


@dataclasses.dataclass(frozen=True)
class Access:
    """One tile access: the memref, the indices of its first element, and how tile dimensions move in memory."""

    memory: ir.Value
    indices: list[ir.Value]
    sizes: list[ir.Value]
    dims: list[int]
    strides: list[int]

    @staticmethod
    def of(op: ir.OpView, lookup: Callable[[ir.Value], ir.Value]) -> Access:
        """Read the op, its operands mapped by `lookup`."""
        attrs = attributes_of(op)
        is_load = op.operation.name == "loop.load_tile"
        return Access(
            memory=lookup(op.source if is_load else op.destination),
            indices=[lookup(v) for v in op.indices],
            sizes=[lookup(v) for v in op.sizes],
            # A tile without dimensions is one element along one.
            dims=attrs.dims or [-1],
            strides=attrs.strides or [1],
        )

    def merged(self, operation: ir.Operation) -> Access:
        """The access with its last two dimensions as one; they must be the last of memory, the very last one whole, or
        move in its last one as one would.
        """
        rank, size = len(self.indices), list(ir.MemRefType(self.memory.type).shape)[-1]
        shape = shape_of(operation.results[0] if len(operation.results) else operation.operands[0])
        if self.dims[-2:] == [rank - 1] * 2 and self.strides[-2:] == [shape[-1], 1] and not self.sizes:
            return dataclasses.replace(self, dims=self.dims[:-1], strides=[*self.strides[:-2], 1])
        if self.dims[-2:] != [rank - 2, rank - 1] or self.strides[-2:] != [1, 1] or shape[-1] != size or self.sizes:
            raise fail(operation, "must move neighbours along k that stand beside each other in memory, all of them")
        type_ = ir.MemRefType(self.memory.type)
        flat = ir.MemRefType.get(
            [*type_.shape[: rank - 2], type_.shape[rank - 2] * size],
            type_.element_type,
            memory_space=type_.memory_space,
        )
        groups = [[axis] for axis in range(rank - 2)] + [[rank - 2, rank - 1]]
        column = arith.muli(self.indices[-2], index_constant(size))
        return Access(
            memory=memref.collapse_shape(flat, self.memory, groups),
            indices=[*self.indices[:-2], column],
            sizes=[],
            dims=self.dims[:-1],
            strides=self.strides[:-1],
        )

    def may_be_partial(self, dimension: int, size: int) -> bool:
        """Whether fewer than `size` elements along a tile dimension may be in bounds."""
        return bool(self.sizes) and constant_of(self.sizes[dimension]) != size

    @property
    def contiguous(self) -> bool:
        """Whether a row of the tile is a run of memory."""
        return self.dims[-1] == len(self.indices) - 1 and self.strides[-1] == 1

    @property
    def repeated(self) -> bool:
        """Whether all elements of a row are the same."""
        return self.dims[-1] == -1


def index_constant(value: int) -> ir.Value:
    return arith.constant(ir.IndexType.get(), value)


def constant_of(value: ir.Value) -> int | None:
    """The value of a constant index, None if it is none."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return None
    return int(owner.operation.attributes["value"].value)
