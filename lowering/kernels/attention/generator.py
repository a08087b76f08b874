"""The generator of attention: an online softmax (Milakov and Gimelshein, 2018) in blocks (FlashAttention, Dao et al.,
2022).

A workgroup takes a tile of queries of one head, and goes over the keys block by block. Queries are columns: their
scores are [keys, queries], products of keys as they lie in memory with the queries, which are transposed into local
memory. So the largest score of a query and the sum of its weights are found row by row without reducing a tile, values
are read as they lie in memory, too, and of query and result alone rows become columns.

    scores = key * query^T                       weights = exp(scores - largest)
    result^T = value^T * weights / sum

Where a block finds a larger score, what came before is scaled down to it.
"""

from __future__ import annotations

import dataclasses
import math as pymath
from collections.abc import Callable, Mapping

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph_contraction import RESULT, heads_moved
from terrace.lowering.graph.payload_types import compare, compute_type, larger_number
from terrace.lowering.kernels.attention.heads import Heads
from terrace.lowering.kernels.attention.hidden import masks_of, unless_hidden
from terrace.lowering.kernels.attention.rows import RowsOfQueries
from terrace.lowering.kernels.attention.schedule import ROWS, SKIPPING
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.nest import TileBody, nest
from terrace.lowering.kernels.summation import sum_in_blocks
from terrace.lowering.kernels.view import KernelView, TilePlace, load_operand, store_results
from terrace.lowering.kernels.work_division import SUM_STEPS
from terrace.mlir import DYNAMIC, arith, ir, math

COPIED = 16
"""Columns of a query that are transposed together."""


@dataclasses.dataclass(frozen=True)
class Local:
    """Local memory, in columns for the queries of a tile."""

    query: ir.Value
    """[e, m], times the scale."""
    scores: ir.Value
    """[keys of a block, m], and then the weights."""
    result: ir.Value | None
    """[n, m], what the blocks so far sum up to; None where one block has all keys."""
    factor: ir.Value
    """[1, m], what sums are multiplied by."""


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of an attention kernel."""
    lead = [name for name in kernel.space.names if name not in ("m", "n", "s", "e")]
    in_rows = kernel.schedule.variant == ROWS
    kernel.check_schedule(("m", "n", "s", "e"), (*lead, "m", "s"), staged=() if in_rows else ("query",))
    if not in_rows and "query" not in kernel.schedule.staged:
        raise kernel.refuse("attention needs 'query' staged")
    if not in_rows and kernel.schedule.tile("e") != 1:
        raise kernel.refuse("tile size of 'e' must be 1")
    if in_rows and not kernel.schedule.block("s"):
        raise kernel.refuse(f"variant '{ROWS}' needs a block size of 's'")
    if kernel.schedule.variant == SKIPPING and not masks_of(kernel):
        raise kernel.refuse(f"variant '{SKIPPING}' needs a mask")
    inner = graph.AttentionOp.inner_heads(attributes_of(kernel.root))
    sizes = _sizes(b, kernel, lead)

    def enter(start: Mapping[str, Index]) -> TileBody:
        at = keys = tuple(start[name] for name in lead)
        if "g" in lead:
            *batch, group, number = at
            at, keys = (*batch, b.add(b.mul(group, kernel.space.size("r")), number)), (*batch, group)
        heads = Heads(at, keys, tuple(inner))
        if in_rows:
            return lambda spans: RowsOfQueries(b, kernel, heads, spans["m"]).emit()
        local = _allocate(b, kernel)
        return lambda spans: _Queries(b, kernel, local, heads, spans["m"]).emit()

    nest(b, kernel, sizes, enter, first=lead)


def _sizes(b: LoopBuilder, kernel: KernelView, lead: list[str]) -> dict[str, Index]:
    """The sizes of batches, heads and m."""
    memory, inner = kernel.results_memory[0], graph.AttentionOp.inner_heads(attributes_of(kernel.root))
    axes = list(range(len(shape_of(memory))))
    if RESULT in inner:
        axes = heads_moved(axes)
    sizes: dict[str, Index] = {}
    for name, axis in zip([*lead, "m"], axes if "g" not in lead else [*axes[:-3], None, *axes[-3:]], strict=False):
        sizes[name] = kernel.space.size(name) if name in ("g", "r") or axis is None else b.size(memory, axis)
    return sizes


def _allocate(b: LoopBuilder, kernel: KernelView) -> Local:
    size, schedule = kernel.space.size, kernel.schedule
    columns, keys = schedule.tile("m"), schedule.block("s") or size("s")
    if DYNAMIC in (keys, size("e"), size("n")):
        raise kernel.refuse("needs a block size of 's', whose size is known at run time only")
    type_ = compute_type(element_type_of(kernel.root.results[0]))
    is_single = size("s") != DYNAMIC and size("s") <= keys
    return Local(
        b.alloc([size("e"), columns], type_),
        b.alloc([keys, columns], type_),
        None if is_single else b.alloc([size("n"), columns], type_),
        b.alloc([1, columns], type_),
    )


class _Queries:
    """A tile of queries of one head: what is done for it, in order."""

    def __init__(
        self,
        b: LoopBuilder,
        kernel: KernelView,
        local: Local,
        heads: Heads,
        rows: Span,
    ) -> None:
        self.b, self.kernel, self.local, self.heads = b, kernel, local, heads
        self.first, self.count, self.valid = rows
        self.type_ = compute_type(element_type_of(kernel.root.results[0]))
        self.query, self.key, self.value = (kernel.memory_of(value) for value in list(kernel.root.operands)[:3])
        self.attrs = attributes_of(kernel.root)
        self.keys = b.size(self.key, heads.row_axis(1))
        self.visible = self.keys
        """How many keys, the first ones, any of the queries sees."""
        if self.attrs.is_causal:
            self.visible = b.min(self.keys, b.add(self.first, self.count))

    def emit(self) -> None:
        b = self.b
        self.transpose_query()
        carried = [self.number(-pymath.inf), self.number(0.0)]
        if self.local.result is None:
            _, total = self.weigh_keys(0, self.visible, carried)
            self.set_factor(arith.divf(self.number(1.0), total))
            self.add_values(0, self.visible)
            return
        self.clear_result()

        def one_block(start: Index, carried: list[ir.Value]) -> list[ir.Value]:
            end = b.min(b.add(start, self.kernel.schedule.block("s")), self.visible)
            if self.kernel.schedule.variant != SKIPPING:
                return self.add_block(start, end, carried)
            rows = self.first, self.count, self.valid
            place = self.kernel, self.heads, rows, (start, end), self.count
            return unless_hidden(b, *place, carried, self.add_block)

        _, total = b.reduce_all(0, self.visible, self.kernel.schedule.block("s"), carried, one_block)
        if not isinstance(self.keys, int):
            # Of no keys the result is 0, not 0 / 0.
            is_empty = arith.uitofp(self.type_, b.less(self.keys, 1))
            total = arith.addf(total, b.spread([1, self.count], is_empty))
        self.set_factor(arith.divf(self.number(1.0), total))
        self.finish()

    def add_block(self, start: Index, end: Index, carried: list[ir.Value]) -> list[ir.Value]:
        """What the keys from `start` to `end` add; `carried` is the largest score and the sum of weights."""
        carried = self.weigh_keys(start, end, carried)
        self.add_values(start, end)
        return carried

    # -- queries and scores ---------------------------------------------------------------------------------------

    def transpose_query(self) -> None:
        """Copy the queries, times the scale, into local memory as columns."""
        dims = [len(self.heads.own) + 1, self.heads.row_axis(0)]

        def copy(column: Index, size: int, _: Index | None) -> None:
            indices, shape = self.heads.indices(0, self.first, column), [size, self.count]
            tile = self.b.load(self.query, indices, shape, dims, valid=[None, self.valid])
            if self.attrs.scale != 1.0:
                tile = arith.mulf(tile, self.b.splat(shape, self.type_, self.attrs.scale))
            self.b.store(tile, self.local.query, [column, 0], [0, 1])

        self.b.tiles(0, 0, self.kernel.space.size("e"), COPIED, copy)

    def find_scores(self, start: Index) -> None:
        """The scores of the block of keys that begins at `start`, as far as any query sees them."""
        b, tile, block = self.b, self.kernel.schedule.tile("s"), self.kernel.schedule.block("s")
        bound: Index = block
        if self.attrs.is_causal:
            seen = b.sub(b.add(self.first, self.count), start)
            bound = b.mul(b.ceildiv(seen, tile), tile)
            bound = b.min(bound, block) if block else bound
        b.tiles(start, bound, self.keys, tile, lambda key, size, valid: self.score(start, key, size, valid))

    def score(self, start: Index, key: Index, size: int, valid: Index | None) -> None:
        """The scores of a tile of keys."""
        b, shape, dims = self.b, [size, self.count], [self.heads.row_axis(1), len(self.heads.own) + 1]

        def add(column: Index, total: ir.Value) -> ir.Value:
            keys = b.load(self.key, self.heads.indices(1, key, column), [size, 1], dims, valid=[valid, None])
            return b.contract(keys, b.load(self.local.query, [column, 0], [1, self.count], [0, 1]), total)

        tile = b.reduce(0, self.kernel.space.size("e"), 1, b.splat(shape, self.type_, 0.0), add)
        for mask in list(self.kernel.root.operands)[3:]:
            rank = len(self.heads.own)
            place = TilePlace(
                (*self.heads.own, self.first, key), (rank + 1, rank), (size, self.count), (valid, self.valid)
            )
            tile = arith.addf(tile, load_operand(b, self.kernel.memory_of(mask), shape_of(mask), place))
        if self.attrs.is_causal:
            is_hidden = arith.cmpi(
                arith.CmpIPredicate.sgt, b.index_tile(shape, key, 0), b.index_tile(shape, self.first, 1)
            )
            tile = arith.select(is_hidden, b.splat(shape, self.type_, -pymath.inf), tile)
        b.store(tile, self.local.scores, [b.sub(key, start), 0], [0, 1], valid=[valid, None])

    def weigh_keys(self, start: Index, end: Index, carried: list[ir.Value]) -> list[ir.Value]:
        """Turn the scores of a block into weights. `carried` is the largest score and the sum of weights so far."""
        b, (before, total), count = self.b, carried, self.b.sub(end, start)
        self.find_scores(start)
        # A score that is NaN makes its weight NaN, and with it the sum: the largest one need not be.
        largest = b.reduce(0, count, 1, before, lambda key, most: larger_number(most, self.load_scores(key)))
        # A query that has seen no key yet has no largest score: what is hidden weighs nothing.
        is_hidden = compare("eq", largest, self.number(-pymath.inf))
        base = arith.select(is_hidden, self.number(0.0), largest)

        def weigh(key: Index, sums: list[ir.Value]) -> list[ir.Value]:
            weight = math.exp(arith.subf(self.load_scores(key), base))
            b.store(weight, self.local.scores, [key, 0], [0, 1])
            return [arith.addf(sums[0], weight)]

        (added,) = sum_in_blocks(b, count, 1, SUM_STEPS, [self.number(0.0)], weigh)
        if self.local.result is None:
            return [largest, added]
        factor = math.exp(arith.subf(before, base))
        self.set_factor(factor)
        return [largest, arith.addf(arith.mulf(total, factor), added)]

    # -- values ---------------------------------------------------------------------------------------------------

    def add_values(self, start: Index, end: Index) -> None:
        """Add the values of a block of keys, times their weights, to the result."""
        b, count, dims = self.b, self.b.sub(end, start), [len(self.heads.own) + 1, self.heads.row_axis(2)]

        def tile_of(column: Index, size: int, _: Index | None) -> None:
            def add(key: Index, total: ir.Value) -> ir.Value:
                values = b.load(self.value, self.heads.indices(2, b.add(start, key), column), [size, 1], dims)
                return b.contract(values, self.load_scores(key), total)

            result = self.local.result
            if result is None:
                nothing = b.splat([size, self.count], self.type_, 0.0)
                self.store_result(column, size, b.reduce(0, count, 1, nothing, add))
            else:
                before = arith.mulf(self.load_result(column, size), self.load_factor(size))
                b.store(b.reduce(0, count, 1, before, add), result, [column, 0], [0, 1])

        self.over_columns(tile_of)

    def clear_result(self) -> None:
        self.over_columns(
            lambda column, size, _: self.b.store(
                self.b.splat([size, self.count], self.type_, 0.0), self.local.result, [column, 0], [0, 1]
            )
        )

    def finish(self) -> None:
        """Divide the result by the sum of the weights, run the epilogue, and store it."""
        self.over_columns(lambda column, size, _: self.store_result(column, size, self.load_result(column, size)))

    def store_result(self, column: Index, size: int, tile: ir.Value) -> None:
        tile = arith.mulf(tile, self.load_factor(size))
        axes = (len(self.heads.own) + 1, self.heads.row_axis(RESULT))
        indices = tuple(self.heads.indices(RESULT, self.first, column))
        place = TilePlace(indices, axes, (size, self.count), (None, self.valid))
        store_results(self.b, self.kernel, {self.kernel.root.results[0]: tile}, place)

    # -- tiles ----------------------------------------------------------------------------------------------------

    def over_columns(self, body: Callable[[Index, int, Index | None], None]) -> None:
        self.b.tiles(0, 0, self.kernel.space.size("n"), self.kernel.schedule.tile("n"), body)

    def number(self, value: float) -> ir.Value:
        """One for each query."""
        return self.b.splat([1, self.count], self.type_, value)

    def load_scores(self, key: Index) -> ir.Value:
        return self.b.load(self.local.scores, [key, 0], [1, self.count], [0, 1])

    def load_result(self, column: Index, size: int) -> ir.Value:
        return self.b.load(self.local.result, [column, 0], [size, self.count], [0, 1])

    def load_factor(self, size: int) -> ir.Value:
        """Repeated along the rows."""
        return self.b.load(self.local.factor, [0, 0], [size, self.count], [-1, 1])

    def set_factor(self, factor: ir.Value) -> None:
        self.b.store(factor, self.local.factor, [0, 0], [0, 1])
