"""The generator of `graph.matmul` and `graph.batch_matmul` with their epilogues.

A workgroup takes a block of rows and columns (of one batch). It walks over panels of columns as wide as a tile; for
each panel and each tile of rows it keeps the tile in registers while it runs over k, chunk by chunk, applies the
epilogue and stores it. rhs is read in blocks of columns, [n/w][k][w], when its layout or `staged` says so, else in
place. Where k has a block size, both operands pass through local memory in blocks of k, one tile of the result at a
time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeAlias

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.graph.payload_types import compute_type, constant, is_float
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.nest import TileBody, nest
from terrace.lowering.kernels.packing import Pack, PackWithSums
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import arith, ir

Load: TypeAlias = Callable[[Index, int], ir.Value]
"""Called with an offset and a size along k, gives a tile of an operand."""

CHUNK = 512
"""How many terms of a product are added up before their sum joins the whole one."""


@dataclasses.dataclass(frozen=True)
class Rhs:
    """How rhs is read: the memref, its fixed leading indices, its axes of k and n, and the width of column blocks.

    `depth` neighbours along k stand beside each other in blocks that are packed for an atom.
    """

    memory: ir.Value
    batch: tuple[Index, ...]
    k_axis: int
    n_axis: int
    width: int | None = None
    first_column: Index = 0
    depth: int = 1

    def load(self, b: LoopBuilder, k: Index, n: Index, depth: int, size: int, valid: Index | None) -> ir.Value:
        """The tile [depth, size] at (k, n)."""
        if self.width is None:
            indices: list[Index] = [*self.batch, 0, 0]
            indices[self.k_axis], indices[self.n_axis] = k, n
            return b.load(self.memory, indices, [depth, size], [self.k_axis, self.n_axis], valid=[None, valid])
        column = b.sub(n, self.first_column)
        block, inside = b.floordiv(column, self.width), b.mod(column, self.width)
        if self.depth == 1:
            return b.load(self.memory, [block, k, inside], [depth, size], [1, 2])
        groups = -(-depth // self.depth)
        at = [block, b.floordiv(k, self.depth), inside, 0]
        return b.load(self.memory, at, [groups, size, self.depth], [1, 2, 3], as_stored=True)


@dataclasses.dataclass(frozen=True)
class LocalBlocks:
    """Local memory for a block of k of both operands of a tile: lhs as [m, block], rhs as [block, n]."""

    lhs: ir.Value
    rhs: ir.Value


@dataclasses.dataclass(frozen=True)
class Operands:
    """Where a tile reads its operands, and the local memory that they pass through block by block, if they do."""

    lhs: ir.Value
    rhs: Rhs
    local: LocalBlocks | None


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a matmul or batch_matmul kernel."""
    root = kernel.root
    kernel.check_schedule(
        tiled=("m", "n", "k"), blocked=("b", "m", "n", "k"), staged=("lhs", "rhs"), packed=("rhs",), atoms=True
    )
    batched = "b" in kernel.space.names
    lhs = kernel.memory_of(root.operands[0])
    rank = 3 if batched else 2
    result = kernel.results_memory[0]
    m, n, k = b.size(result, rank - 2), b.size(result, rank - 1), b.size(lhs, rank - 1)

    def enter(start: Mapping[str, Index]) -> TileBody:
        """The operands of a block, in local memory where they are staged."""
        lead = (start["b"],) if batched else ()
        rhs, local = _rhs(kernel, lead), _blocks_of_k(b, kernel)
        if local is None:
            rhs = _stage(b, kernel, rhs, start.get("n", 0), n, k)
        operands = Operands(lhs, rhs, local)
        return lambda spans: _one_tile(b, kernel, operands, lead, spans["m"], spans["n"], k)

    nest(b, kernel, {"n": n, "m": m, **({"b": b.size(result, 0)} if batched else {})}, enter, first=("b",))


def _rhs(kernel: KernelView, lead: tuple[Index, ...]) -> Rhs:
    root = kernel.root
    value = root.operands[1]
    memory, layout = kernel.memory_of(value), kernel.packing_of(value)
    transposed = attributes_of(root).transpose_rhs
    with_atom = kernel.schedule.atom is not None
    if layout is None and not with_atom:
        axes = (len(lead) + 1, len(lead)) if transposed else (len(lead), len(lead) + 1)
        return Rhs(memory, lead, *axes)
    n_axis = 0 if transposed else 1
    if (
        lead
        or not isinstance(layout, Pack)
        or layout.inner_dims != ((n_axis, 1 - n_axis) if with_atom else (n_axis,))
        or layout.outer_permutation != (n_axis, 1 - n_axis)
    ):
        wanted = "[n/w][k/q][w][q] for an atom" if with_atom else "[n/w][k][w]"
        raise kernel.refuse(f"the layout of rhs must be blocks of columns, {wanted}, without a batch")
    width, depth = layout.inner_tiles[0], layout.inner_tiles[1] if with_atom else 1
    if isinstance(layout, PackWithSums) and not with_atom:
        raise kernel.refuse("rhs has sums beside it, which only an atom needs")
    if with_atom and kernel.schedule.block("k"):
        raise kernel.refuse("an atom reads rhs as it was packed; 'k' must not be cut for 'local'")
    if kernel.schedule.tile("k") % depth:
        raise kernel.refuse(f"tile size {kernel.schedule.tile('k')} of 'k' must be a multiple of the {depth} packed")
    if width % kernel.schedule.tile("n"):
        raise kernel.refuse(f"tile size {kernel.schedule.tile('n')} of 'n' must divide the layout's block of {width}")
    return Rhs(memory, (), 1, 2, width, depth=depth)


def _stage(b: LoopBuilder, kernel: KernelView, rhs: Rhs, start: Index, n: Index, k: Index) -> Rhs:
    """Copy the workgroup's columns of rhs into local memory, in blocks as wide as a tile, if the schedule says so."""
    if "rhs" not in kernel.schedule.staged:
        return rhs
    block, width = kernel.schedule.block("n") or n, kernel.schedule.tile("n")
    if rhs.width is not None or not isinstance(block, int) or not isinstance(k, int):
        raise kernel.refuse("can stage rhs only when it is row-major and its block has a static size")
    local = b.alloc([-(-block // width), k, width], compute_type(element_type_of(rhs.memory)))
    depth = 16 if k % 16 == 0 else 1

    def copy(offset: Index, size: int, valid: Index | None) -> None:
        with b.for_each(0, k, depth) as row:
            tile = rhs.load(b, row, offset, depth, size, valid)
            b.store(tile, local, [b.floordiv(b.sub(offset, start), width), row, 0], [1, 2], valid=[None, valid])

    b.tiles(start, kernel.schedule.block("n"), n, width, copy)
    return Rhs(local, (), 1, 2, width, start)


def _blocks_of_k(b: LoopBuilder, kernel: KernelView) -> LocalBlocks | None:
    """Local memory for blocks of k, if the schedule cuts k into blocks; both operands pass through it, then."""
    schedule = kernel.schedule
    block, staged = schedule.block("k"), set(schedule.staged)
    if not block:
        if "lhs" in staged:
            raise kernel.refuse("can stage lhs only in blocks of 'k', whose block size is 0")
        return None
    if staged != {"lhs", "rhs"}:
        raise kernel.refuse("needs both lhs and rhs staged where 'k' is cut into blocks")
    element_type = compute_type(element_type_of(kernel.root.operands[0]))
    shapes = [schedule.tile("m"), block], [block, schedule.tile("n")]
    return LocalBlocks(*(b.alloc(shape, element_type) for shape in shapes))


def _one_tile(
    b: LoopBuilder,
    kernel: KernelView,
    operands: Operands,
    lead: tuple[Index, ...],
    rows: Span,
    columns: Span,
    k: Index,
) -> None:
    (i, m, m_valid), (j, n, n_valid) = rows, columns
    rank, depth, element_type = len(lead), kernel.schedule.tile("k"), kernel.accumulator

    unsigned = isinstance(kernel.schedule.packed.get("rhs"), PackWithSums)

    def load_lhs(at: Index, size: int) -> ir.Value:
        place, valid = [*lead, i, at], [m_valid, None]
        as_stored = kernel.schedule.atom is not None
        tile = b.load(operands.lhs, place, [m, size], [rank, rank + 1], valid=valid, as_stored=as_stored)
        return arith.xori(tile, constant(tile.type, -128)) if unsigned else tile  # 128 more, as unsigned.

    def load_rhs(at: Index, size: int) -> ir.Value:
        return operands.rhs.load(b, at, j, size, n, n_valid)

    if unsigned:
        zero = b.load(kernel.beside["rhs"][0], [j], [m, n], [-1, 0], valid=[m_valid, n_valid])
    else:
        zero = b.splat([m, n], element_type, 0.0)

    def part(start: Index, size: Index) -> ir.Value:
        loads: tuple[Load, Load] = (
            lambda at, count: load_lhs(b.add(start, at), count),
            lambda at, count: load_rhs(b.add(start, at), count),
        )
        if operands.local is None:
            return _contract(b, size, depth, zero, *loads, kernel.schedule.atom, unsigned)
        return _contract_blocks(b, kernel, operands.local, size, zero, *loads)

    tile = _in_chunks(b, k, zero, part, operands.rhs.depth) if is_float(element_type) else part(0, k)
    place = TilePlace((*lead, i, j), (rank, rank + 1), (m, n), (m_valid, n_valid))
    store_results(b, kernel, {kernel.root.results[0]: tile}, place)


def _in_chunks(
    b: LoopBuilder, k: Index, zero: ir.Value, part: Callable[[Index, Index], ir.Value], multiple: int
) -> ir.Value:
    """The sum of `part(start, size)` over chunks of k, of a size that no schedule changes: multiples of `multiple`.

    One long sum would lose digits: each of its terms is rounded to the last place of all that came before.
    """
    if isinstance(k, int) and k <= CHUNK:
        return part(0, k)
    size = _chunk_of(k, multiple) if isinstance(k, int) else CHUNK
    rest = k % size if isinstance(k, int) else 0
    full = b.sub(k, rest)

    def add(start: Index, total: ir.Value) -> ir.Value:
        return arith.addf(total, part(start, size if isinstance(k, int) else b.min(size, b.sub(k, start))))

    total = b.reduce(0, full, size, zero, add)
    return arith.addf(total, part(full, rest)) if rest else total


def _chunk_of(k: int, multiple: int) -> int:
    """The size of chunks that leaves no rest, which would be another loop to compile, if there is one."""
    sizes = [size for size in range(CHUNK // 4, CHUNK + 1) if k % size == 0 and size % multiple == 0]
    return max(sizes, key=lambda size: (size % 16 == 0, size), default=CHUNK)


def _along(
    b: LoopBuilder, k: Index, depth: int, tile: ir.Value, step: Callable[[Index, int, ir.Value], ir.Value]
) -> ir.Value:
    """`step(offset, size, tile)` over all of k, in parts of `depth`; the rest is one part if its size is known."""
    rest = b.mod(k, depth)
    main = b.sub(k, rest)
    if not (isinstance(main, int) and main == 0):
        tile = b.reduce(0, main, depth, tile, lambda at, total: step(at, depth, total))
    if isinstance(rest, int):
        return step(main, rest, tile) if rest else tile
    return b.reduce(main, k, 1, tile, lambda at, total: step(at, 1, total))


def _contract(
    b: LoopBuilder,
    k: Index,
    depth: int,
    tile: ir.Value,
    load_lhs: Load,
    load_rhs: Load,
    atom: str | None = None,
    unsigned: bool = False,
) -> ir.Value:
    """The tile plus the product of what is loaded along all of k."""

    def step(at: Index, size: int, total: ir.Value) -> ir.Value:
        return b.contract(load_lhs(at, size), load_rhs(at, size), total, atom, unsigned)

    return _along(b, k, depth, tile, step)


def _contract_blocks(
    b: LoopBuilder, kernel: KernelView, local: LocalBlocks, k: Index, tile: ir.Value, load_lhs: Load, load_rhs: Load
) -> ir.Value:
    """As `_contract`, but each block of k is first copied into local memory, which the tile is contracted from."""
    m, n = shape_of(tile)

    def block(at: Index, size: int, total: ir.Value) -> ir.Value:
        # Both on their way before the first one is waited for.
        lhs, rhs = load_lhs(at, size), load_rhs(at, size)
        b.store(lhs, local.lhs, [0, 0], [0, 1])
        b.store(rhs, local.rhs, [0, 0], [0, 1])
        return _contract(
            b,
            size,
            min(size, kernel.schedule.tile("k")),
            total,
            lambda k, depth: b.load(local.lhs, [0, k], [m, depth], [0, 1]),
            lambda k, depth: b.load(local.rhs, [k, 0], [depth, n], [0, 1]),
        )

    return _along(b, k, kernel.schedule.block("k"), tile, block)
