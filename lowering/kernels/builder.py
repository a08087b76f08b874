"""What all generators build loops with: index arithmetic that folds constants, tiled loops with their tails, tile ops.

An `Index` is a Python int or an SSA value of index type; arithmetic on ints happens here and leaves no op.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from terrace.dialects import loop
from terrace.dialects.base import element_type_of, shape_of, to_attribute
from terrace.lowering.analysis.multiples import divisor_of
from terrace.lowering.graph.payload_types import cast, compute_type, constant, is_float
from terrace.mlir import DYNAMIC, arith, ir, math, memref, scf, vector

Index: TypeAlias = int | ir.Value
Span: TypeAlias = tuple[Index, int, Index | None]
"""A tile along a dimension: its offset, its static size, how many of its elements are in bounds or None for all."""
TileBody: TypeAlias = Callable[[Index, int, Index | None], None]
"""Called with the parts of a `Span`."""

LINE = 64
"""Bytes that memory gives at a time."""

PAGE = 4096
"""Bytes after which what a core reads ahead by itself ends."""


class LoopBuilder:
    """Builds the body of one loop-level function, at the current insertion point."""

    def __init__(self, entry: ir.Block) -> None:
        self._entry = entry
        self._constants: dict[int, ir.Value] = {}
        self._first = True

    # -- index arithmetic -----------------------------------------------------------------------------------------

    def value(self, index: Index) -> ir.Value:
        """`index` as an SSA value; constants stand once, at the top of the function."""
        if not isinstance(index, int):
            return index
        if index not in self._constants:
            with ir.InsertionPoint.at_block_begin(self._entry):
                self._constants[index] = arith.constant(ir.IndexType.get(), index)
        return self._constants[index]

    def add(self, left: Index, right: Index) -> Index:
        if isinstance(left, int) and isinstance(right, int):
            return left + right
        if left == 0 and isinstance(left, int):
            return right
        if isinstance(right, int) and right == 0:
            return left
        return arith.addi(self.value(left), self.value(right))

    def sub(self, left: Index, right: Index) -> Index:
        if isinstance(left, int) and isinstance(right, int):
            return left - right
        if isinstance(right, int) and right == 0:
            return left
        return arith.subi(self.value(left), self.value(right))

    def mul(self, left: Index, right: Index) -> Index:
        if isinstance(left, int) and isinstance(right, int):
            return left * right
        for one, other in ((left, right), (right, left)):
            if isinstance(one, int) and one in (0, 1):
                return other if one else 0
        return arith.muli(self.value(left), self.value(right))

    def floordiv(self, left: Index, right: Index) -> Index:
        if isinstance(right, int) and (isinstance(left, int) or right == 1):
            return left if right == 1 else left // right
        return arith.divui(self.value(left), self.value(right))

    def mod(self, left: Index, right: Index) -> Index:
        if isinstance(right, int) and (isinstance(left, int) or right == 1):
            return 0 if right == 1 else left % right
        if isinstance(right, int) and isinstance(left, ir.Value) and divisor_of(left) % right == 0:
            return 0
        return arith.remui(self.value(left), self.value(right))

    def ceildiv(self, left: Index, right: Index) -> Index:
        if isinstance(left, int) and isinstance(right, int):
            return -(-left // right)
        return self.floordiv(self.add(left, self.sub(right, 1)), right)

    def min(self, left: Index, right: Index) -> Index:
        if isinstance(left, int) and isinstance(right, int):
            return min(left, right)
        return arith.minui(self.value(left), self.value(right))

    def max(self, left: Index, right: Index) -> Index:
        if isinstance(left, int) and isinstance(right, int):
            return max(left, right)
        return arith.maxsi(self.value(left), self.value(right))

    def size(self, memory: ir.Value, axis: int) -> Index:
        """The size of a memref's dimension: an int when static."""
        size = shape_of(memory)[axis]
        return size if size != DYNAMIC else memref.dim(memory, self.value(axis))

    def rows_as_one(self, memory: ir.Value) -> ir.Value:
        """The same memory, its last two dimensions, which are static, as one."""
        type_ = ir.MemRefType(memory.type)
        *outer, columns, last = type_.shape
        flat = ir.MemRefType.get([*outer, columns * last], type_.element_type, memory_space=type_.memory_space)
        groups = [*([axis] for axis in range(len(outer))), [len(outer), len(outer) + 1]]
        return memref.collapse_shape(flat, memory, groups)

    # -- loops ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def parallel(self, bounds: Sequence[Index]) -> Iterator[list[ir.Value]]:
        """The body of a `loop.parallel` over workgroups; gives its indices."""
        mapping = ir.ArrayAttr.get([ir.StringAttr.get("workgroup")] * len(bounds))
        operation = ir.Operation.create(
            "loop.parallel", [], [self.value(b) for b in bounds], {"mapping": mapping}, regions=1
        )
        block = operation.regions[0].blocks.append(*[ir.IndexType.get()] * len(bounds))
        with ir.InsertionPoint(block):
            yield list(block.arguments)
            loop.YieldOp([])

    @contextlib.contextmanager
    def for_each(self, lower: Index, upper: Index, step: int = 1) -> Iterator[Index]:
        """The body of a sequential loop; no loop is made when it runs exactly once."""
        if isinstance(lower, int) and isinstance(upper, int) and lower < upper <= lower + step:
            yield lower
            return
        operation = scf.ForOp(self.value(lower), self.value(upper), self.value(step))
        with ir.InsertionPoint(operation.body):
            yield operation.induction_variable
            scf.YieldOp([])

    @contextlib.contextmanager
    def for_block(self, start: Index, block: int, total: Index) -> Iterator[Index]:
        """The body for each index of the block that begins at `start`, or of all if `block` is 0."""
        if block == 1:
            yield start  # blocks begin within bounds
            return
        with self.for_each(start, self.min(self.add(start, block), total) if block else total) as index:
            yield index

    def reduce(
        self,
        lower: Index,
        upper: Index,
        step: int,
        initial: ir.Value,
        body: Callable[[Index, ir.Value], ir.Value],
    ) -> ir.Value:
        """A sequential loop that carries one value; no loop is made when it runs exactly once."""
        return self.reduce_all(lower, upper, step, [initial], lambda index, values: [body(index, *values)])[0]

    def reduce_all(
        self,
        lower: Index,
        upper: Index,
        step: int,
        initial: list[ir.Value],
        body: Callable[[Index, list[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:
        """A sequential loop that carries several values; no loop is made when it runs exactly once."""
        if isinstance(lower, int) and isinstance(upper, int) and lower < upper <= lower + step:
            return body(lower, initial)
        operation = scf.ForOp(self.value(lower), self.value(upper), self.value(step), initial)
        with ir.InsertionPoint(operation.body):
            scf.YieldOp(body(operation.induction_variable, list(operation.inner_iter_args)))
        return list(operation.results)

    @contextlib.contextmanager
    def when(self, condition: ir.Value) -> Iterator[None]:
        """The body of a condition."""
        operation = scf.IfOp(condition)
        with ir.InsertionPoint(operation.then_block):
            yield
            scf.YieldOp([])

    def if_else(self, condition: ir.Value, like: Sequence[ir.Value] = ()) -> Any:
        """An scf.if with two empty branches, to be filled and each ended by `end_branch` with values `like` these."""
        return scf.IfOp(condition, [value.type for value in like], has_else=True)

    def end_branch(self, values: Sequence[ir.Value] = ()) -> None:
        scf.YieldOp(list(values))

    def inside(self, index: Index, lower: Index, upper: Index) -> ir.Value:
        """Whether lower <= index < upper."""
        above = arith.cmpi(arith.CmpIPredicate.uge, self.value(index), self.value(lower))
        return arith.andi(above, self.less(index, upper))

    def less(self, left: Index, right: Index) -> ir.Value:
        return arith.cmpi(arith.CmpIPredicate.ult, self.value(left), self.value(right))

    def tiles(self, start: Index, block: Index, total: Index, tile: int, body: TileBody) -> None:
        """Cut [start, min(start + block, total)) into tiles. `block` 0 means up to `total`; it is a multiple of `tile`.

        Full tiles run in a loop. The tail has a static size of its own when `total` is static; else it is a full tile
        with a count of the elements in bounds. It runs in the block that holds the end of the range.
        """
        size = block if isinstance(block, int) else None
        single = size is not None and (size == 0 or (isinstance(total, int) and total <= size))
        remainder = self.mod(total, tile)
        full = self.sub(total, remainder)
        upper = full if single else self.min(self.add(start, block), full)
        if size == tile and isinstance(remainder, int) and remainder == 0:
            body(start, tile, None)  # every block is one full tile
        elif not (isinstance(full, int) and full == 0):
            with self.for_each(start, upper, tile) as offset:
                body(offset, tile, None)
        if isinstance(remainder, int) and remainder == 0:
            return
        with contextlib.ExitStack() as stack:
            if not single:  # full - start is at most block in the last block only
                stack.enter_context(self.when(self.less(self.sub(full, start), block)))
            if isinstance(remainder, int):
                body(full, remainder, None)
            else:
                stack.enter_context(self.when(self.less(0, remainder)))
                body(full, tile, remainder)

    # -- tiles ----------------------------------------------------------------------------------------------------

    def load(
        self,
        source: ir.Value,
        indices: Sequence[Index],
        shape: Sequence[int],
        dims: Sequence[int],
        strides: Sequence[int] | None = None,
        valid: Sequence[Index | None] | None = None,
        as_stored: bool = False,
    ) -> ir.Value:
        """A `loop.load_tile` of `shape`; `valid` counts the elements in bounds per tile dimension, None for all.

        Elements of a type that is for storage alone come as what they are computed in: bf16 as f32; or `as_stored`.
        """
        element_type = ir.MemRefType(source.type).element_type
        type_ = ir.VectorType.get(list(shape), element_type)
        tile = loop.LoadTileOp(
            source,
            [self.value(i) for i in indices],
            self._sizes(shape, valid),
            to_attribute(list(dims)),
            to_attribute(list(strides or [1] * len(shape))),
            type_,
        ).operation.results[0]
        return tile if as_stored else cast(tile, compute_type(element_type))

    def store(
        self,
        tile: ir.Value,
        destination: ir.Value,
        indices: Sequence[Index],
        dims: Sequence[int],
        strides: Sequence[int] | None = None,
        valid: Sequence[Index | None] | None = None,
    ) -> None:
        """A `loop.store_tile`; `valid` as for `load`. Rounds, once, where memory is of a type for storage alone."""
        shape, element_type = shape_of(tile), ir.MemRefType(destination.type).element_type
        if element_type_of(tile) == compute_type(element_type):
            tile = cast(tile, element_type)
        loop.StoreTileOp(
            tile,
            destination,
            [self.value(i) for i in indices],
            self._sizes(shape, valid),
            to_attribute(list(dims)),
            to_attribute(list(strides or [1] * len(shape))),
        )

    def _sizes(self, shape: Sequence[int], valid: Sequence[Index | None] | None) -> list[ir.Value]:
        if valid is None or all(
            v is None or (isinstance(v, int) and v == s) for v, s in zip(valid, shape, strict=True)
        ):
            return []
        return [self.value(s if v is None else v) for v, s in zip(valid, shape, strict=True)]

    def prefetch(self, memory: ir.Value, indices: Sequence[Index], near: bool = True) -> None:
        """Ask for the line at an element without waiting for it, into the nearest cache or the one behind it.

        It need not be inside: elements are counted along the last dimension beyond its end.
        """
        locality = 3 if near else 2
        memref.prefetch(memory, [self.value(index) for index in indices], False, locality, True)

    def contract(
        self,
        lhs: ir.Value,
        rhs: ir.Value,
        accumulator: ir.Value,
        atom: str | None = None,
        unsigned_lhs: bool = False,
    ) -> ir.Value:
        operation = loop.ContractTileOp(lhs, rhs, accumulator, accumulator.type).operation
        if atom is not None:
            operation.attributes["atom"] = to_attribute(atom)
        if unsigned_lhs:
            operation.attributes["unsigned_lhs"] = ir.UnitAttr.get()
        return operation.results[0]

    def multiply_add(self, lhs: ir.Value, rhs: ir.Value, accumulator: ir.Value) -> ir.Value:
        """accumulator + lhs * rhs for each element, fused on floats; integers are widened to the accumulator first."""
        element_type = element_type_of(accumulator)
        if is_float(element_type):
            return math.fma(lhs, rhs, accumulator)
        return arith.addi(accumulator, arith.muli(cast(lhs, element_type), cast(rhs, element_type)))

    def dot(self, lhs: Sequence[ir.Value], rhs: ir.Value, accumulator: ir.Value, atom: str) -> ir.Value:
        """accumulator plus the products of the tiles of lhs, unsigned, with the neighbours of rhs, for each element."""
        return loop.DotTileOp(accumulator, rhs, list(lhs), to_attribute(atom), accumulator.type).operation.results[0]

    def reduce_tile(self, tile: ir.Value, kind: str, valid: Sequence[Index | None] | None = None) -> ir.Value:
        """Reduce the last dimension of a tile to 1, by "sum" or "max"."""
        shape = shape_of(tile)
        type_ = ir.VectorType.get([*shape[:-1], 1], ir.VectorType(tile.type).element_type)
        sizes = self._sizes(shape, valid)
        return loop.ReduceTileOp(tile, sizes, to_attribute(kind), type_).operation.results[0]

    def any_tile(self, tile: ir.Value) -> ir.Value:
        """Whether a tile of truth values holds a true one."""
        return loop.AnyTileOp(tile, ir.IntegerType.get_signless(1)).operation.results[0]

    def scan_tile(self, tile: ir.Value, kind: str) -> tuple[ir.Value, ir.Value]:
        """What the elements of each row up to each one make by "sum", "prod", "max" or "min", and all of the row."""
        whole = ir.VectorType.get([*shape_of(tile)[:-1], 1], element_type_of(tile))
        running, total = loop.ScanTileOp(tile, to_attribute(kind), tile.type, whole).operation.results
        return running, total

    def broadcast_tile(self, tile: ir.Value, size: int) -> ir.Value:
        """Repeat a tile [..., 1] to [..., size]."""
        type_ = ir.VectorType.get([*shape_of(tile)[:-1], size], ir.VectorType(tile.type).element_type)
        return loop.BroadcastTileOp(tile, type_).operation.results[0]

    def index_tile(self, shape: Sequence[int], start: Index, dim: int, integer: ir.Type | None = None) -> ir.Value:
        """`start` plus each element's position along `dim` of a tile of this shape, as i32 or another `integer`."""
        type_ = ir.VectorType.get(list(shape), integer or ir.IntegerType.get_signless(32))
        return loop.IndexTileOp(self.value(start), to_attribute(dim), type_).operation.results[0]

    def where_inside(self, tile: ir.Value, count: Index, other: ir.Value) -> ir.Value:
        """The first `count` columns of a tile [rows, columns], and of another beyond them."""
        if isinstance(count, int) and count >= shape_of(tile)[-1]:
            return tile
        columns = self.index_tile(shape_of(tile), 0, 1)
        limit = self.spread(shape_of(tile), arith.index_cast(ir.IntegerType.get_signless(32), self.value(count)))
        return arith.select(arith.cmpi(arith.CmpIPredicate.slt, columns, limit), tile, other)

    def splat(self, shape: Sequence[int], element_type: ir.Type, value: float) -> ir.Value:
        """A tile with the same number everywhere."""
        return constant(ir.VectorType.get(list(shape), element_type), value)

    def spread(self, shape: Sequence[int], number: ir.Value) -> ir.Value:
        """A tile that holds a number known at run time everywhere."""
        return vector.broadcast(ir.VectorType.get(list(shape), number.type), number)

    def alloc(self, shape: Sequence[int], element_type: ir.Type) -> ir.Value:
        """Scratch memory in the local space."""
        space = ir.StringAttr.get(loop.LOCAL)
        type_ = ir.MemRefType.get(list(shape), element_type, memory_space=space)
        return loop.AllocOp(type_).operation.results[0]
