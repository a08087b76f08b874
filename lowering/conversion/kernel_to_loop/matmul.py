"""The generator of `graph.matmul` and `graph.batch_matmul` with their epilogues.

A workgroup takes a block of rows and columns (of one batch). It walks over panels of columns as wide as a tile; for
each panel and each tile of rows it keeps the tile in registers while it runs over all of k, applies the epilogue and
stores it. rhs is read in blocks of columns, [n/w][k][w], when its layout or `staged` says so, else in place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from terrace.dialects.base import attributes_of, element_type_of
from terrace.lowering.conversion.kernel_to_loop.builder import Index, LoopBuilder
from terrace.lowering.conversion.kernel_to_loop.kernel import KernelView, TilePlace, store_results, workgroups
from terrace.lowering.schedule.schedule import Layout
from terrace.mlir import ir


@dataclasses.dataclass(frozen=True)
class Rhs:
    """How rhs is read: the memref, its fixed leading indices, its axes of k and n, and the width of column blocks."""

    memory: ir.Value
    batch: tuple[Index, ...]
    k_axis: int
    n_axis: int
    width: int | None = None
    first_column: Index = 0

    def load(self, b: LoopBuilder, k: Index, n: Index, depth: int, size: int, valid: Index | None) -> ir.Value:
        """The tile [depth, size] at (k, n)."""
        if self.width is None:
            indices: list[Index] = [*self.batch, 0, 0]
            indices[self.k_axis], indices[self.n_axis] = k, n
            return b.load(self.memory, indices, [depth, size], [self.k_axis, self.n_axis], valid=[None, valid])
        column = b.sub(n, self.first_column)
        block, inside = b.floordiv(column, self.width), b.mod(column, self.width)
        return b.load(self.memory, [block, k, inside], [depth, size], [1, 2])


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a matmul or batch_matmul kernel."""
    root = kernel.root
    kernel.check_schedule(tiled=("m", "n", "k"), blocked=("b", "m", "n"), staged="rhs", laid_out=(1,))
    batched = "b" in kernel.space.names
    lhs = kernel.memory_of(root.operands[0])
    rank = 3 if batched else 2
    result = kernel.results_memory[0]
    m, n, k = b.size(result, rank - 2), b.size(result, rank - 1), b.size(lhs, rank - 1)
    sizes = {"m": m, "n": n, **({"b": b.size(result, 0)} if batched else {})}
    with workgroups(b, kernel, sizes) as start, b.for_each(*_batch_range(b, kernel, start, sizes)) as batch:
        lead = (batch,) if batched else ()
        rhs = _stage(b, kernel, _rhs(b, kernel, lead), start.get("n", 0), n, k)
        _tiles(b, kernel, lhs, rhs, lead, start, sizes, k)


def _batch_range(
    b: LoopBuilder, kernel: KernelView, start: dict[str, Index], sizes: dict[str, Index]
) -> tuple[Index, Index]:
    if "b" not in sizes:
        return 0, 1
    lower, block = start.get("b", 0), kernel.schedule.block("b")
    return lower, b.min(b.add(lower, block), sizes["b"]) if block > 1 else (b.add(lower, 1) if block else sizes["b"])


def _rhs(b: LoopBuilder, kernel: KernelView, lead: tuple[Index, ...]) -> Rhs:
    root = kernel.root
    value = root.operands[1]
    memory, layout = kernel.memory_of(value), kernel.layout_of(value)
    transposed = attributes_of(root).transpose_rhs
    if layout is None:
        axes = (len(lead) + 1, len(lead)) if transposed else (len(lead), len(lead) + 1)
        return Rhs(memory, lead, *axes)
    n_axis = 0 if transposed else 1
    if (
        lead
        or not isinstance(layout, Layout)
        or layout.inner_dims != (n_axis,)
        or layout.outer_permutation != (n_axis, 1 - n_axis)
    ):
        raise kernel.refuse("the layout of rhs must be blocks of columns, [n/w][k][w], without a batch")
    width = layout.inner_tiles[0]
    if width % kernel.schedule.tile("n"):
        raise kernel.refuse(f"tile size {kernel.schedule.tile('n')} of 'n' must divide the layout's block of {width}")
    return Rhs(memory, (), 1, 2, width)


def _stage(b: LoopBuilder, kernel: KernelView, rhs: Rhs, start: Index, n: Index, k: Index) -> Rhs:
    """Copy the workgroup's columns of rhs into local memory, in blocks as wide as a tile, if the schedule says so."""
    if "rhs" not in kernel.schedule.staged:
        return rhs
    block, width = kernel.schedule.block("n") or n, kernel.schedule.tile("n")
    if rhs.width is not None or not isinstance(block, int) or not isinstance(k, int):
        raise kernel.refuse("can stage rhs only when it is row-major and its block has a static size")
    local = b.alloc([-(-block // width), k, width], element_type_of(rhs.memory))
    depth = 16 if k % 16 == 0 else 1

    def copy(offset: Index, size: int, valid: Index | None) -> None:
        with b.for_each(0, k, depth) as row:
            tile = rhs.load(b, row, offset, depth, size, valid)
            b.store(tile, local, [b.floordiv(b.sub(offset, start), width), row, 0], [1, 2], valid=[None, valid])

    b.tiles(start, kernel.schedule.block("n"), n, width, copy)
    return Rhs(local, (), 1, 2, width, start)


def _tiles(
    b: LoopBuilder,
    kernel: KernelView,
    lhs: ir.Value,
    rhs: Rhs,
    lead: tuple[Index, ...],
    start: dict[str, Index],
    sizes: dict[str, Index],
    k: Index,
) -> None:
    """All tiles of the workgroup's block, in the schedule's order."""
    schedule = kernel.schedule
    order = [d for d in schedule.order if d in ("m", "n")] or ["n", "m"]
    place: dict[str, tuple[Index, int, Index | None]] = {}

    def nest(remaining: list[str]) -> None:
        if not remaining:
            _one_tile(b, kernel, lhs, rhs, lead, place["m"], place["n"], k)
            return
        dim = remaining[0]

        def body(offset: Index, size: int, valid: Index | None) -> None:
            place[dim] = (offset, size, valid)
            nest(remaining[1:])

        b.tiles(start.get(dim, 0), schedule.block(dim), sizes[dim], schedule.tile(dim), body)

    nest(order)


def _one_tile(
    b: LoopBuilder,
    kernel: KernelView,
    lhs: ir.Value,
    rhs: Rhs,
    lead: tuple[Index, ...],
    rows: tuple[Index, int, Index | None],
    columns: tuple[Index, int, Index | None],
    k: Index,
) -> None:
    (i, m, m_valid), (j, n, n_valid) = rows, columns
    rank, depth = len(lead), kernel.schedule.tile("k")
    element_type = element_type_of(kernel.root.results[0])
    main = k - k % depth if isinstance(k, int) else b.sub(k, b.mod(k, depth))

    def step(size: int) -> Callable[[Index, ir.Value], ir.Value]:
        def body(at: Index, accumulator: ir.Value) -> ir.Value:
            left = b.load(lhs, [*lead, i, at], [m, size], [rank, rank + 1], valid=[m_valid, None])
            return b.contract(left, rhs.load(b, at, j, size, n, n_valid), accumulator)

        return body

    tile = b.splat([m, n], element_type, 0.0)
    if not (isinstance(main, int) and main == 0):
        tile = b.reduce(0, main, depth, tile, step(depth))
    if depth > 1 and not (isinstance(k, int) and main == k):
        tile = b.reduce(main, k, 1, tile, step(1))
    place = TilePlace((*lead, i, j), (rank, rank + 1), (m, n), (m_valid, n_valid))
    store_results(b, kernel, {kernel.root.results[0]: tile}, place)
