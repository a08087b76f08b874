"""Attention of a few queries, such as the next token's: elements of a head in lanes, a key or a value a row in memory.

A workgroup takes some queries of one head, and goes over the keys block by block, as the direct variant does:

    scores[query, key] = sum over lanes of query * key         weights = exp(scores - largest)
    result[query, :] += weights[query, key] * value[key, :]
"""

from __future__ import annotations

import math as pymath
from collections.abc import Callable

from terrace.dialects.base import attributes_of, element_type_of
from terrace.dialects.graph_contraction import RESULT
from terrace.lowering.graph.payload_types import compare, compute_type, larger_number
from terrace.lowering.kernels.attention.heads import Heads
from terrace.lowering.kernels.attention.hidden import load_mask, masks_of, unless_hidden
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.lowering.kernels.work_division import round_up
from terrace.mlir import arith, ir, math


class RowsOfQueries:
    """A tile of queries of one head: what is done for it, in order. Tiles of scores are [queries, keys]."""

    def __init__(self, b: LoopBuilder, kernel: KernelView, heads: Heads, rows: Span) -> None:
        self.b, self.kernel, self.heads, self.rows = b, kernel, heads, rows
        self.first, self.count, self.valid = rows
        schedule, size = kernel.schedule, kernel.space.size
        self.attrs = attributes_of(kernel.root)
        self.type_ = compute_type(element_type_of(kernel.root.results[0]))
        self.query, self.key, self.value = (kernel.memory_of(value) for value in list(kernel.root.operands)[:3])
        self.lanes, self.block = schedule.tile("e"), schedule.block("s")
        # Scores become weights as many at a time as there are lanes.
        self.scores = b.alloc([self.count, round_up(self.block, self.lanes)], self.type_)
        self.result = b.alloc([self.count, size("n")], self.type_)
        self.keys = b.size(self.key, heads.row_axis(1))
        self.visible = b.min(self.keys, b.add(self.first, self.count)) if self.attrs.is_causal else self.keys
        """How many keys, the first ones, any of the queries may see."""

    def emit(self) -> None:
        b = self.b
        self.over_columns(lambda column, size: self.store_sums(column, self.splat(size, 0.0)))

        def one_block(start: Index, carried: list[ir.Value]) -> list[ir.Value]:
            end = b.min(b.add(start, self.block), self.visible)
            if not masks_of(self.kernel):
                return self.add_block(start, end, carried)
            place = self.kernel, self.heads, self.rows, (start, end), self.lanes
            return unless_hidden(b, *place, carried, self.add_block)

        nothing = [self.splat(1, -pymath.inf), self.splat(1, 0.0)]
        _, total = b.reduce_all(0, self.visible, self.block, nothing, one_block)
        if not isinstance(self.keys, int):
            # Of no keys the result is 0, not 0 / 0.
            total = arith.addf(total, b.spread([self.count, 1], arith.uitofp(self.type_, b.less(self.keys, 1))))
        factor = arith.divf(self.splat(1, 1.0), total)
        self.over_columns(lambda column, size: self.store_result(column, size, factor))

    def add_block(self, start: Index, end: Index, carried: list[ir.Value]) -> list[ir.Value]:
        """What the keys from `start` to `end` add to the largest score and the sum of weights, each [queries, 1]."""
        self.find_scores(start, end)
        largest, total, factor = self.weigh(start, end, *carried)
        self.over_columns(lambda column, size: self.add_values(start, end, column, size, factor))
        return [largest, total]

    # -- scores ---------------------------------------------------------------------------------------------------

    def find_scores(self, start: Index, end: Index) -> None:
        """The products of all queries and the keys of a block, before they are scaled and masked."""
        tile = self.kernel.schedule.tile("s")
        self.b.tiles(start, self.block, end, tile, lambda key, size, valid: self.score(start, key, size, valid))

    def score(self, start: Index, key: Index, size: int, valid: Index | None) -> None:
        b, lanes, width = self.b, self.lanes, self.kernel.space.size("e")
        whole = width - width % lanes

        def add(column: Index, sums: list[ir.Value]) -> list[ir.Value]:
            return self.multiply(key, column, [size, lanes], valid, sums)

        found: list[ir.Value] | None = None
        pieces = [(0, whole, lanes), (whole, width, width - whole)]
        for lower, upper, step in (piece for piece in pieces if piece[2] and piece[0] < piece[1]):
            zeros = [b.splat([size, step], self.type_, 0.0)] * self.count
            if step == lanes:
                sums = b.reduce_all(lower, upper, step, zeros, add)
            else:
                sums = self.multiply(key, lower, [size, step], valid, zeros)
            parts = [b.reduce_tile(total, "sum") for total in sums]
            found = parts if found is None else [arith.addf(a, c) for a, c in zip(found, parts, strict=True)]
        for query, column in enumerate(found or []):
            b.store(column, self.scores, [query, b.sub(key, start)], [1, 0], valid=[valid, None])

    def multiply(
        self, key: Index, column: Index, shape: list[int], valid: Index | None, sums: list[ir.Value]
    ) -> list[ir.Value]:
        """Some elements of some keys times those of each query, added to the sums of each, of the same shape."""
        b, last = self.b, len(self.heads.own) + 1
        keys = b.load(self.key, self.heads.indices(1, key, column), shape, [self.heads.row_axis(1), last],
                      valid=[valid, None])  # fmt: skip
        added = []
        for number, total in enumerate(sums):
            row = b.add(self.first, number)
            row = row if self.valid is None else b.min(row, b.sub(b.size(self.query, self.heads.row_axis(0)), 1))
            query = b.load(self.query, self.heads.indices(0, row, column), shape, [-1, last])
            added.append(b.multiply_add(keys, query, total))
        return added

    # -- weights --------------------------------------------------------------------------------------------------

    def weigh(self, start: Index, end: Index, before: ir.Value, total: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Turn the scores of a block into weights. Gives the largest score, the sum of weights, and what both, as they
        were before, and the result are scaled by."""
        b, count, lanes = self.b, self.b.sub(end, start), self.lanes

        def finish(key: Index, most: ir.Value) -> ir.Value:
            scores = self.finished(start, key, count)
            b.store(scores, self.scores, [0, key], [0, 1])
            # A score that is NaN makes its weight NaN, and with it the sum: the largest one need not be.
            return larger_number(most, scores)

        most = b.reduce(0, count, lanes, b.broadcast_tile(before, lanes), finish)
        largest = b.reduce_tile(most, "max")
        # A query that has seen no key yet has no largest score: what is hidden weighs nothing.
        base = arith.select(compare("eq", largest, self.splat(1, -pymath.inf)), self.splat(1, 0.0), largest)
        bases = b.broadcast_tile(base, lanes)

        def weigh(key: Index, added: ir.Value) -> ir.Value:
            weight = math.exp(arith.subf(b.load(self.scores, [0, key], [self.count, lanes], [0, 1]), bases))
            b.store(weight, self.scores, [0, key], [0, 1])
            return arith.addf(added, weight)

        added = b.reduce_tile(b.reduce(0, count, lanes, self.splat(lanes, 0.0), weigh), "sum")
        factor = math.exp(arith.subf(before, base))
        return largest, arith.addf(arith.mulf(total, factor), added), factor

    def finished(self, start: Index, key: Index, count: Index) -> ir.Value:
        """The scores of as many keys as there are lanes, from the `key`-th of the block: scaled, and what is hidden, or
        beyond the `count` of the block, at minus infinity."""
        b, shape = self.b, [self.count, self.lanes]
        tile = b.load(self.scores, [0, key], shape, [0, 1])
        if self.attrs.scale != 1.0:
            tile = arith.mulf(tile, self.splat(self.lanes, self.attrs.scale))
        left = b.min(b.sub(count, key), self.lanes)
        place = b.add(start, key)
        for mask in masks_of(self.kernel):
            tile = arith.addf(tile, load_mask(b, self.kernel, self.heads, mask, self.rows, (place, self.lanes, left)))
        hidden = self.splat(self.lanes, -pymath.inf)
        if self.attrs.is_causal:
            after = arith.CmpIPredicate.sgt
            is_hidden = arith.cmpi(after, b.index_tile(shape, place, 1), b.index_tile(shape, self.first, 0))
            tile = arith.select(is_hidden, hidden, tile)
        return b.where_inside(tile, left, hidden)

    # -- values ---------------------------------------------------------------------------------------------------

    def add_values(self, start: Index, end: Index, column: Index, size: int, factor: ir.Value) -> None:
        """Scale some columns of the result down, and add the values of a block to them, times their weights."""
        b, dims = self.b, [self.heads.row_axis(2), len(self.heads.own) + 1]

        def add(key: Index, total: ir.Value) -> ir.Value:
            values = b.load(self.value, self.heads.indices(2, b.add(start, key), column), [1, size], dims)
            return b.contract(b.load(self.scores, [0, key], [self.count, 1], [0, 1]), values, total)

        before = arith.mulf(self.load_sums(column, size), b.broadcast_tile(factor, size))
        self.store_sums(column, b.reduce(0, b.sub(end, start), 1, before, add))

    def store_result(self, column: Index, size: int, factor: ir.Value) -> None:
        tile = arith.mulf(self.load_sums(column, size), self.b.broadcast_tile(factor, size))
        axes = (self.heads.row_axis(RESULT), len(self.heads.own) + 1)
        indices = tuple(self.heads.indices(RESULT, self.first, column))
        place = TilePlace(indices, axes, (self.count, size), (self.valid, None))
        store_results(self.b, self.kernel, {self.kernel.root.results[0]: tile}, place)

    # -- tiles ----------------------------------------------------------------------------------------------------

    def over_columns(self, body: Callable[[Index, int], None]) -> None:
        size, tile = self.kernel.space.size("n"), self.kernel.schedule.tile("n")
        self.b.tiles(0, 0, size, tile, lambda column, width, _: body(column, width))

    def splat(self, columns: int, value: float) -> ir.Value:
        return self.b.splat([self.count, columns], self.type_, value)

    def load_sums(self, column: Index, size: int) -> ir.Value:
        return self.b.load(self.result, [0, column], [self.count, size], [0, 1])

    def store_sums(self, column: Index, tile: ir.Value) -> None:
        self.b.store(tile, self.result, [0, column], [0, 1])
