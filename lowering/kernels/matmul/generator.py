"""The generator of `graph.matmul` and `graph.batch_matmul` with their epilogues.

A workgroup takes a block of rows and columns (of one batch). It walks over panels of columns as wide as a tile; for
each panel and each tile of rows it keeps the tile in registers while it runs over k, chunk by chunk, applies the
epilogue and stores it. rhs is read in blocks of columns, [n/w][k][w], when its layout or the cut for local memory says
so, else in place.

Where k is cut and nothing enters local memory in blocks of it, the sums of blocks are added up with what rounding loses
carried along. Where k is cut for local memory, both operands pass through it in blocks of k. Either a tile of the
result stays in registers, and its rows and columns are copied for it alone; or, where the result `leaves` by its sums,
these are in local memory, and all tiles of the workgroup's block go over a block of k before the next one is copied.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeAlias

from terrace.dialects.base import element_type_of, shape_of
from terrace.lowering.graph.payload_types import compute_type, constant, is_float
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.matmul.chunk import CHUNK, chunk_of
from terrace.lowering.kernels.matmul.operands import LocalMatrices, Source, lhs_of, rhs_of
from terrace.lowering.kernels.matmul.packed_columns import PackedColumns
from terrace.lowering.kernels.nest import TileBody, nest, over_tiles
from terrace.lowering.kernels.packing import PackWithSums, Sums
from terrace.lowering.kernels.summation import add_exactly
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.lowering.kernels.weights_ahead import WeightsAhead
from terrace.mlir import arith, ir

Load: TypeAlias = Callable[[Index, int], ir.Value]
"""Called with an offset and a size along k, gives a tile of an operand."""


@dataclasses.dataclass(frozen=True)
class LocalBlocks:
    """Local memory for a block of k of both operands of a tile: lhs as [m, block], rhs as [block, n]."""

    lhs: ir.Value
    rhs: ir.Value


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a matmul or batch_matmul kernel."""
    kernel.check_schedule(
        tiled=("m", "n", "k"),
        blocked=("b", "m", "n", "k"),
        staged=("lhs", "rhs"),
        packed=("rhs",),
        leaving={"result": Sums.name},
        atoms=True,
        for_atoms=("rhs",),
    )
    _Matmul(b, kernel).emit()


def generate_product(b: LoopBuilder, kernel: KernelView, rhs: Source) -> None:
    """The loops of a matmul whose rhs another family stores, and copies into local memory, in its own way."""
    _Matmul(b, kernel, rhs).emit()


class _Matmul:
    """One kernel's loops."""

    def __init__(self, b: LoopBuilder, kernel: KernelView, rhs: Source | None = None) -> None:
        self.b, self.kernel, self.schedule, self.rhs = b, kernel, kernel.schedule, rhs
        result = kernel.results_memory[0]
        self.rank = len(shape_of(result)) - 2
        m, n = b.size(result, self.rank), b.size(result, self.rank + 1)
        self.k = b.size(kernel.memory_of(kernel.root.operands[0]), self.rank + 1)
        self.sizes: dict[str, Index] = {"n": n, "m": m}
        packings = (kernel.schedule.cut(memory).enters.get("rhs") for memory in ("device", "local"))
        self.unsigned = any(isinstance(packing, PackWithSums) for packing in packings)
        self.ahead = self.weights_ahead() if rhs is None else None
        self.short = 0 if rhs is not None or self.is_cut_for_memory() else self.schedule.block("k")

    def emit(self) -> None:
        b, kernel = self.b, self.kernel

        def enter(start: Mapping[str, Index]) -> TileBody:
            """The operands of a block, in local memory where they are staged."""
            batch = (start["b"],) if self.rank else ()
            sources: dict[str, Source] = {"lhs": lhs_of(kernel, batch), "rhs": self.rhs or rhs_of(kernel, batch)}
            columns = PackedColumns.allocate(b, kernel, sources["rhs"])
            if columns is not None:
                packed = columns.fill(b, start.get("n", 0), self.schedule.block("n"), self.sizes["n"])
                return lambda spans: self.tile({**sources, "rhs": packed}, None, batch, spans)
            if self.schedule.leaving:
                return self.sum_in_memory(sources, start, batch)
            local = self.blocks_of_k()
            if local is None and self.schedule.staged:
                block = {"k": self.k, "n": self.schedule.block("n") or self.sizes["n"]}
                copies = LocalMatrices.allocate(b, kernel, sources, block)
                ends = {**self.sizes, "k": self.k}
                sources = copies.fill(b, sources, start, {"k": 0, "n": self.schedule.block("n")}, ends)
            return lambda spans: self.tile(sources, local, batch, spans)

        batches = {"b": b.size(kernel.results_memory[0], 0)} if self.rank else {}
        nest(b, kernel, {**self.sizes, **batches}, enter, first=("b",))

    def weights_ahead(self) -> WeightsAhead | None:
        """What to ask for while tiles go over a panel of rhs."""
        weights, schedule = self.kernel.root.operands[1], self.schedule
        rows = schedule.block("m") or self.sizes["m"]
        height = schedule.tile("m")
        tiles = -(-rows // height) if isinstance(rows, int) else None
        memory, packing = self.kernel.memory_of(weights), self.kernel.packing_of(weights)
        return WeightsAhead.of(memory, packing, (height, schedule.tile("n")), tiles)

    def is_cut_for_memory(self) -> bool:
        """Whether blocks of k are those of local memory, not those of a sum."""
        kernel, schedule = self.kernel, self.schedule
        is_sum = is_float(kernel.accumulator) and schedule.atom is None
        return not is_sum or "lhs" in schedule.staged or bool(schedule.leaving)

    # -- a tile in registers --------------------------------------------------------------------------------------

    def tile(
        self,
        sources: Mapping[str, Source],
        local: LocalBlocks | None,
        batch: tuple[Index, ...],
        spans: Mapping[str, Span],
    ) -> None:
        """The product along all of k, and its epilogue."""
        zero = self.nothing(sources, spans)

        def part(start: Index, size: Index) -> ir.Value:
            if local is None:
                return self.contract(sources, spans, start, size, zero)
            return self.contract_blocks(sources, spans, local, start, size, zero)

        is_chunked = is_float(self.kernel.accumulator)
        tile = self.in_chunks(zero, part, sources["rhs"].depth) if is_chunked else part(0, self.k)
        self.finish(tile, batch, spans)

    def nothing(self, sources: Mapping[str, Source], spans: Mapping[str, Span]) -> ir.Value:
        """What the products are added to: zeros, or what the packing of rhs took away."""
        (_, m, m_valid), (j, n, n_valid), rhs = spans["m"], spans["n"], sources["rhs"]
        if isinstance(rhs, PackedColumns):
            return rhs.load_sums(self.b, j, (m, n), m_valid)
        if self.unsigned:
            return self.b.load(self.kernel.beside["rhs"][0], [j], [m, n], [-1, 0], valid=[m_valid, n_valid])
        return self.b.splat([m, n], self.kernel.accumulator, 0.0)

    def finish(self, tile: ir.Value, batch: tuple[Index, ...], spans: Mapping[str, Span]) -> None:
        """The epilogue on a tile of the product; its results are stored."""
        (i, m, m_valid), (j, n, n_valid) = spans["m"], spans["n"]
        place = TilePlace((*batch, i, j), (self.rank, self.rank + 1), (m, n), (m_valid, n_valid))
        store_results(self.b, self.kernel, {self.kernel.root.results[0]: tile}, place)

    def loads(self, sources: Mapping[str, Source], spans: Mapping[str, Span], start: Index) -> tuple[Load, Load]:
        """What loads tiles of both operands at offsets from `start` along k."""
        b, (i, m, m_valid), (j, n, n_valid) = self.b, spans["m"], spans["n"]

        def lhs(at: Index, size: int) -> ir.Value:
            tile = sources["lhs"].load(b, (i, b.add(start, at)), (m, size), (m_valid, None))
            return arith.xori(tile, constant(tile.type, -128)) if self.unsigned else tile  # 128 more, as unsigned

        def rhs(at: Index, size: int) -> ir.Value:
            return sources["rhs"].load(b, (b.add(start, at), j), (size, n), (None, n_valid))

        return lhs, rhs

    def contract(
        self, sources: Mapping[str, Source], spans: Mapping[str, Span], start: Index, size: Index, tile: ir.Value
    ) -> ir.Value:
        """The tile plus the product along `size` of k from `start` on."""
        lhs, rhs = self.loads(sources, spans, start)
        return self.contract_loaded(lhs, self.asking(rhs, spans, start), size, self.schedule.tile("k"), tile)

    def asking(self, rhs: Load, spans: Mapping[str, Span], start: Index) -> Load:
        """`rhs`, which asks for what is read later, too."""
        b, ahead = self.b, self.ahead
        if ahead is None:
            return rhs
        panel, tile = (b.floordiv(spans[name][0], self.schedule.tile(name)) for name in ("n", "m"))

        def load(at: Index, size: int) -> ir.Value:
            ahead.ask(b, panel, tile, b.add(start, at), size)
            return rhs(at, size)

        return load

    def contract_loaded(self, lhs: Load, rhs: Load, size: Index, depth: int, tile: ir.Value) -> ir.Value:
        """The tile plus the product of what is loaded, `depth` along k at a time."""
        b, atom = self.b, self.schedule.atom

        def step(at: Index, count: int, total: ir.Value) -> ir.Value:
            return b.contract(lhs(at, count), rhs(at, count), total, atom, self.unsigned)

        return self.along(size, depth, tile, step)

    def along(self, k: Index, depth: int, tile: ir.Value, step: Callable[[Index, int, ir.Value], ir.Value]) -> ir.Value:
        """`step(offset, size, tile)` over all of k, in parts of `depth`; the rest is one part if its size is known."""
        b, rest = self.b, self.b.mod(k, depth)
        main = b.sub(k, rest)
        if not (isinstance(main, int) and main == 0):
            tile = b.reduce(0, main, depth, tile, lambda at, total: step(at, depth, total))
        if isinstance(rest, int):
            return step(main, rest, tile) if rest else tile
        if self.schedule.atom is not None:
            raise self.kernel.refuse("an atom takes neighbours along 'k', whose blocks must have a static size each")
        return b.reduce(main, k, 1, tile, lambda at, total: step(at, 1, total))

    def in_chunks(self, zero: ir.Value, part: Callable[[Index, Index], ir.Value], multiple: int) -> ir.Value:
        """The sum of `part(start, size)` over the chunks of k."""
        b, k, short = self.b, self.k, self.short
        if isinstance(k, int) and k <= (short or CHUNK):
            return part(0, k)
        size = short or (chunk_of(k, multiple) if isinstance(k, int) else CHUNK)
        rest = k % size if isinstance(k, int) else 0
        full = b.sub(k, rest)

        def add(start: Index, size: Index, sums: list[ir.Value]) -> list[ir.Value]:
            chunk = part(start, size)
            return [*add_exactly(sums[0], sums[1], chunk)] if short else [arith.addf(sums[0], chunk)]

        def add_full(start: Index, sums: list[ir.Value]) -> list[ir.Value]:
            return add(start, size if isinstance(k, int) else b.min(size, b.sub(k, start)), sums)

        sums = b.reduce_all(0, full, size, [zero, zero] if short else [zero], add_full)
        return add(full, rest, sums)[0] if rest else sums[0]

    # -- blocks of k ----------------------------------------------------------------------------------------------

    def blocks_of_k(self) -> LocalBlocks | None:
        """Local memory for blocks of k, if the schedule cuts k into blocks; both operands pass through it, then."""
        schedule, staged = self.schedule, set(self.schedule.staged)
        block = schedule.block("k")
        if not block and "lhs" in staged:
            raise self.kernel.refuse("can stage lhs only in blocks of 'k', whose block size is 0")
        if not block or self.short:
            return None
        if staged != {"lhs", "rhs"}:
            raise self.kernel.refuse("needs both lhs and rhs staged where 'k' is cut into blocks")
        element_type = compute_type(element_type_of(self.kernel.root.operands[0]))
        shapes = [schedule.tile("m"), block], [block, schedule.tile("n")]
        return LocalBlocks(*(self.b.alloc(shape, element_type) for shape in shapes))

    def contract_blocks(
        self,
        sources: Mapping[str, Source],
        spans: Mapping[str, Span],
        local: LocalBlocks,
        start: Index,
        size: Index,
        tile: ir.Value,
    ) -> ir.Value:
        """As `contract`, but each block of k is first copied into local memory, which the tile is contracted from."""
        b, (load_lhs, load_rhs), (m, n) = self.b, self.loads(sources, spans, start), shape_of(tile)

        def block(at: Index, size: int, total: ir.Value) -> ir.Value:
            # Both on their way before the first one is waited for.
            lhs, rhs = load_lhs(at, size), load_rhs(at, size)
            b.store(lhs, local.lhs, [0, 0], [0, 1])
            b.store(rhs, local.rhs, [0, 0], [0, 1])
            return self.contract_loaded(
                lambda k, depth: b.load(local.lhs, [0, k], [m, depth], [0, 1]),
                lambda k, depth: b.load(local.rhs, [k, 0], [depth, n], [0, 1]),
                size,
                min(size, self.schedule.tile("k")),
                total,
            )

        return self.along(size, self.schedule.block("k"), tile, block)

    def sum_in_memory(
        self, sources: Mapping[str, Source], start: Mapping[str, Index], batch: tuple[Index, ...]
    ) -> TileBody:
        """Add up the block's products in local memory, all tiles for a block of k before the next one.

        Gives what then runs on every tile.
        """
        b, k, depth, schedule = self.b, self.k, sources["rhs"].depth, self.schedule
        block = {name: schedule.block(name) or size for name, size in self.sizes.items()}
        step, rows, columns = schedule.block("k"), block["m"], block["n"]
        if not step or not all(isinstance(size, int) for size in (k, rows, columns)):
            raise self.kernel.refuse("can keep sums only of blocks of static sizes, with a static 'k' that is cut, too")
        assert isinstance(k, int) and isinstance(rows, int) and isinstance(columns, int)
        chunk = chunk_of(k, depth) if is_float(self.kernel.accumulator) else step
        if step % chunk:
            raise self.kernel.refuse(f"'k' is summed in chunks of {chunk}; its block must be a multiple, got {step}")
        sums = b.alloc([rows, columns], self.kernel.accumulator)
        local = LocalMatrices.allocate(b, self.kernel, sources, {**block, "k": step})

        def place(spans: Mapping[str, Span]) -> list[Index]:
            return [b.sub(spans[name][0], start.get(name, 0)) for name in ("m", "n")]

        def load(spans: Mapping[str, Span]) -> ir.Value:
            return b.load(sums, place(spans), [spans["m"][1], spans["n"][1]], [0, 1])

        def each(tile_of: Callable[[Mapping[str, Span]], ir.Value]) -> None:
            over_tiles(
                b, self.kernel, self.sizes, start, lambda spans: b.store(tile_of(spans), sums, place(spans), [0, 1])
            )

        each(lambda spans: self.nothing(sources, spans))
        with b.for_each(0, k, step) as first:
            size = step if k % step == 0 else b.min(step, b.sub(k, first))
            blocks = {name: schedule.block(name) for name in self.sizes} | {"k": step}
            copied = local.fill(b, sources, {**start, "k": first}, blocks, {**self.sizes, "k": k})

            def add(spans: Mapping[str, Span]) -> ir.Value:
                return self.add_chunks(copied, spans, first, size, chunk, load(spans))

            each(add)
        return lambda spans: self.finish(load(spans), batch, spans)

    def add_chunks(
        self,
        sources: Mapping[str, Source],
        spans: Mapping[str, Span],
        start: Index,
        size: Index,
        chunk: int,
        total: ir.Value,
    ) -> ir.Value:
        """`total` plus the sums of the chunks of k in the `size` of it from `start` on."""
        b, k = self.b, self.k
        if not is_float(self.kernel.accumulator):
            return self.contract(sources, spans, start, size, total)
        end = b.add(start, size)

        def add(at: Index, total: ir.Value) -> ir.Value:
            count = chunk if isinstance(k, int) and k % chunk == 0 else b.min(chunk, b.sub(end, at))
            zero = b.splat(shape_of(total), self.kernel.accumulator, 0.0)
            return arith.addf(total, self.contract(sources, spans, at, count, zero))

        return add(start, total) if self.schedule.block("k") == chunk else b.reduce(start, end, chunk, total, add)
