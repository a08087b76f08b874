"""Columns of rhs that a worker packs for an atom: an activation, which nothing could pack before.

They are copied into its memory once, and meet all of its rows of lhs there.
"""

from __future__ import annotations

import dataclasses

from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.matmul.operands import Matrix, Place, Source
from terrace.lowering.kernels.packing import PackWithSums
from terrace.lowering.kernels.view import KernelView
from terrace.mlir import DYNAMIC, arith, ir

GROUPS = 16
"""Groups of neighbours along k that are copied together."""


@dataclasses.dataclass(frozen=True)
class PackedColumns:
    """`memory` is [n/w][k/q][w*q], with `depth` = q neighbours along k beside each other; `sums`, [n/w*w], are what
    `PackWithSums` has beside it. `first` is the column that stands first, `atom` what multiplies.
    """

    matrix: Matrix
    k: int
    width: int
    depth: int
    atom: str
    memory: ir.Value
    sums: ir.Value
    first: Index = 0

    @staticmethod
    def allocate(b: LoopBuilder, kernel: KernelView, matrix: Source) -> PackedColumns | None:
        """Memory for a block of columns where the schedule says so. Refuses what cannot be packed here."""
        schedule, space = kernel.schedule, kernel.space
        packing = schedule.cut("local").enters.get("rhs")
        if not isinstance(packing, PackWithSums):
            return None
        assert isinstance(matrix, Matrix), "another family's rhs, which it packs itself"
        width, depth = schedule.tile("n"), packing.inner_tiles[-1]
        order = (*range(len(matrix.batch)), *reversed(matrix.axes))
        if schedule.atom is None or packing != PackWithSums(order, order[-2:], (width, depth)):
            raise kernel.refuse("rhs must enter 'local' in blocks as wide as a tile, [n/w][k/q][w][q], for an atom")
        n, k = space.size("n"), space.size("k")
        if schedule.staged != ("rhs",) or schedule.block("k") or schedule.leaving or DYNAMIC in (n, k):
            raise kernel.refuse("a worker packs rhs alone, along all of 'k', where 'n' and 'k' have static sizes")
        if schedule.tile("k") % depth:
            raise kernel.refuse(f"tile size {schedule.tile('k')} of 'k' must be a multiple of the {depth} packed")
        panels = -(-(schedule.block("n") or n) // width)
        memory = b.alloc([panels, -(-k // depth), width * depth], matrix.held)
        sums = b.alloc([panels * width], kernel.accumulator)
        return PackedColumns(matrix, k, width, depth, schedule.atom, memory, sums)

    @property
    def held(self) -> ir.Type:
        return self.matrix.held

    def fill(self, b: LoopBuilder, start: Index, block: int, end: Index) -> PackedColumns:
        """Pack columns from `start` on, a block or up to `end`."""
        filled = dataclasses.replace(self, first=start)
        b.tiles(start, block, end, self.width, lambda column, size, _: filled._pack(b, column, size))
        return filled

    def _pack(self, b: LoopBuilder, column: Index, size: int) -> None:
        """Columns of a tile. The atom adds them up, too: as unsigned, a byte of -128 is 128."""
        zero = b.splat([size], ir.MemRefType(self.sums.type).element_type, 0)

        def step(at: Index, count: int, total: ir.Value) -> ir.Value:
            tile = self.matrix.load_groups(b, (at, column), (count, size), self.depth)
            b.store(tile, self.memory, self._place(b, (at, column)), [1, 2, 2], [1, self.depth, 1])
            return b.contract(b.splat([count], self.held, -128), tile, total, self.atom, unsigned_lhs=True)

        many = GROUPS * self.depth
        whole, groups = self.k - self.k % many, self.k - self.k % self.depth
        total = b.reduce(0, whole, many, zero, lambda at, total: step(at, many, total)) if whole else zero
        for at, count in ((whole, groups - whole), (groups, self.k - groups)):
            total = step(at, count, total) if count else total
        b.store(arith.subi(zero, total), self.sums, [b.sub(column, self.first)], [0])

    def load(
        self,
        b: LoopBuilder,
        at: Place,
        shape: tuple[int, int],
        valid: tuple[Index | None, Index | None] = (None, None),
    ) -> ir.Value:
        """In groups of neighbours, the last of which may be more than there are along k."""
        rows, columns = shape
        tile = (-(-rows // self.depth), columns, self.depth)
        return b.load(self.memory, self._place(b, at), tile, [1, 2, 2], [1, self.depth, 1], as_stored=True)

    def load_sums(self, b: LoopBuilder, column: Index, shape: tuple[int, int], m_valid: Index | None) -> ir.Value:
        """The sums beside so many columns, the same in each row."""
        return b.load(self.sums, [b.sub(column, self.first)], shape, [-1, 0], valid=[m_valid, None])

    def _place(self, b: LoopBuilder, at: Place) -> list[Index]:
        k, column = at
        return [b.floordiv(b.sub(column, self.first), self.width), b.floordiv(k, self.depth), 0]
