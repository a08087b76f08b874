"""The generator of `graph.encoded_matmul` with its epilogue.

Few rows: a workgroup copies them into local memory. For each panel of columns it adds up, in registers, the products by
the codes of a group, and adds them, times the group's scales, to the sums of all groups. A zero point takes away its
multiple of the sum of the row's elements there. Codes are read once, as one stream.

Many rows: columns are decoded into local memory, and what follows is a matmul of floats.
"""

from __future__ import annotations

from collections.abc import Mapping

from terrace.dialects.base import element_type_of, shape_of
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.encoded_matmul.schedule import UNIT
from terrace.lowering.kernels.encoded_matmul.weights import TOGETHER, Weights
from terrace.lowering.kernels.matmul.chunk import CHUNK
from terrace.lowering.kernels.matmul.generator import generate_product
from terrace.lowering.kernels.nest import TileBody, nest
from terrace.lowering.kernels.packing import Sums
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import arith, ir, math

COPIED = 64
"""The most elements of a row that are copied together."""


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of an encoded_matmul kernel."""
    dims, stored = ("m", "n", "k"), kernel.operands[1:]
    if "rhs" in kernel.schedule.staged:
        kernel.check_schedule(dims, dims, staged=("rhs",), packed=stored, leaving={"result": Sums.name})
        if kernel.schedule.block("k") % UNIT:
            raise kernel.refuse(f"a block of 'k' must be a multiple of {UNIT}, got {kernel.schedule.block('k')}")
        generate_product(b, kernel, Weights.of(kernel))
        return
    kernel.check_schedule(dims, ("m", "n"), staged=("lhs",), packed=stored, atoms=True)
    _FewRows(b, kernel).emit()


class _FewRows:
    """The loops of a kernel that decodes in registers."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel, self.schedule = b, kernel, kernel.schedule
        self.weights, self.k = Weights.of(kernel), kernel.space.size("k")
        self.depth, self.width, self.rows = (kernel.schedule.tile(name) for name in ("k", "n", "m"))
        self.run = _run(self.k, self.weights.encoding.group)
        if UNIT % self.depth or self.depth % self.weights.codes_together:
            least = self.weights.codes_together
            raise kernel.refuse(f"tile size {self.depth} of 'k' must be a multiple of {least} that divides {UNIT}")
        if self.schedule.block("m") != self.rows or self.schedule.staged != ("lhs",):
            raise kernel.refuse("lhs must enter 'local', in blocks of as many rows as a tile has")
        self.atom = kernel.schedule.atom
        is_bf16 = element_type_of(kernel.memory[0]) == ir.BF16Type.get()
        if self.atom is not None and not (is_bf16 and self.weights.encoding.per_byte == TOGETHER):
            raise kernel.refuse(f"the atom '{self.atom}' multiplies bf16 by codes of 4 bits")

    def emit(self) -> None:
        b, result = self.b, self.kernel.results_memory[0]
        sizes: dict[str, Index] = {"m": b.size(result, 0), "n": b.size(result, 1)}

        def enter(start: Mapping[str, Index]) -> TileBody:
            lhs, sums = self.copy_rows(start["m"], sizes["m"])
            return lambda spans: self.tile(lhs, sums, spans)

        nest(b, self.kernel, sizes, enter)

    # -- rows in local memory -------------------------------------------------------------------------------------

    def copy_rows(self, start: Index, end: Index) -> tuple[ir.Value, ir.Value | None]:
        """The rows from `start` on that a tile takes, and, for zero points, the negated sums of their runs along k."""
        b, source = self.b, self.kernel.memory[0]
        element = ir.F32Type.get() if self.atom is None else ir.BF16Type.get()
        lhs = b.alloc([self.rows, self.k], element)
        runs = -(-self.k // self.run)
        sums = b.alloc([self.rows, runs], ir.F32Type.get()) if self.weights.encoding.zero_points else None
        with b.for_each(start, b.min(b.add(start, self.rows), end)) as row:
            place = b.sub(row, start)
            self.copy_row(source, row, lhs, place)
            if sums is not None:
                self.sum_row(lhs, place, sums)
        return lhs, sums

    def copy_row(self, source: ir.Value, row: Index, lhs: ir.Value, place: Index) -> None:
        """For an atom, with the elements beside each other that an unpacked tile has beside each other."""
        b = self.b
        if self.atom is None:

            def copy(at: Index, size: int, _: Index | None) -> None:
                b.store(b.load(source, [row, at], [1, size], [0, 1]), lhs, [place, at], [0, 1])

            b.tiles(0, 0, self.k, COPIED, copy)
            return
        run = self.weights.codes_together // TOGETHER
        with b.for_each(0, self.k, TOGETHER * run) as at:
            for part in range(TOGETHER):
                tile = b.load(source, [row, b.add(at, part * run)], [1, run], [0, 1], as_stored=True)
                b.store(tile, lhs, [place, b.add(at, part)], [0, 1], [1, TOGETHER])

    def sum_row(self, lhs: ir.Value, place: Index, sums: ir.Value) -> None:
        """Of what is multiplied, so that the part of a zero point in the products is taken away exactly."""

        def add(at: Index, size: int, _: Index | None) -> None:
            total = self.b.reduce_tile(self.b.load(lhs, [place, at], [1, size], [0, 1]), "sum")
            self.b.store(arith.negf(total), sums, [place, self.b.floordiv(at, self.run)], [0, 1])

        self.b.tiles(0, 0, self.k, self.run, add)

    # -- a tile ---------------------------------------------------------------------------------------------------

    def tile(self, lhs: ir.Value, sums: ir.Value | None, spans: Mapping[str, Span]) -> None:
        """All products of a panel of columns, of which those beyond n are not stored, and the epilogue."""
        b, (i, rows, valid), (j, columns, _) = self.b, spans["m"], spans["n"]
        shape = [rows, self.width]

        def add_run(start: Index, size: int, total: ir.Value) -> ir.Value:
            part = self.products(lhs, start, j, size, b.splat(shape, self.kernel.accumulator, 0.0))
            scales, *zeros = (self.weights.of_group(b, p, (start, j), (rows, self.width)) for p in self.weights.beside)
            if sums is not None:
                sum_ = b.load(sums, [0, b.floordiv(start, self.run)], shape, [0, -1])
                part = math.fma(sum_, zeros[0], part)
            return math.fma(part, scales, total)

        rest = self.k % self.run
        total = b.splat(shape, self.kernel.accumulator, 0.0)
        total = b.reduce(0, self.k - rest, self.run, total, lambda start, total: add_run(start, self.run, total))
        total = add_run(self.k - rest, rest, total) if rest else total
        place = TilePlace((i, j), (0, 1), (rows, self.width), (valid, None if columns == self.width else columns))
        store_results(b, self.kernel, {self.kernel.root.results[0]: total}, place)

    def products(self, lhs: ir.Value, start: Index, column: Index, size: int, total: ir.Value) -> ir.Value:
        """`total` plus the products by the codes of `size` of k from `start` on."""
        b, together = self.b, 1 if self.atom is None else TOGETHER
        rows, _ = shape_of(total)

        def step(at: Index, total: ir.Value) -> ir.Value:
            k = b.add(start, at)
            self.weights.prefetch(b, (k, column), self.depth)
            left = b.load(lhs, [0, k], [rows, self.depth], [0, 1], as_stored=self.atom is not None)
            right = self.weights.numbers(b, (k, column), (self.depth, self.width), together)
            return b.contract(left, right, total, self.atom)

        return b.reduce(0, size, self.depth, total, step)


def _run(k: int, group: int) -> int:
    """How many products are added up before they are scaled: those of a group, or of an equal part of it."""
    span = min(group, k)
    return span if span <= CHUNK else max(run for run in range(UNIT, CHUNK + 1, UNIT) if span % run == 0)
