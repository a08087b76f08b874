"""The generator of `graph.resample`, with its epilogue.

Where something lies behind the axis, a tile is a run of that: the runs at an element's places are weighed and added.
Along the last axis the lanes are lines instead: some lines are laid out transposed in local memory, an element of all
of them beside each other, weighed there like runs, and the sums are transposed back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrace.dialects.base import attributes_of
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span, TileBody
from terrace.lowering.kernels.gather.space import load_index
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.resample.schedule import LONGEST
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import arith, ir, memref

UNROLLED = 8
"""Terms that are added without a loop."""


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a kernel of weighted sums."""
    *names, _ = kernel.space.names
    result, axis = kernel.results_memory[0], attributes_of(kernel.root).axis
    is_last = axis == len(names) - 1
    kernel.check_schedule(tiled=(names[0], names[-1]), blocked=names)
    sizes = {name: b.size(result, place) for place, name in enumerate(names)}
    if is_last and len(names) == 2 and names[0] in kernel.schedule.cut("register").sizes:
        nest(b, kernel, {names[0]: sizes[names[0]]}, lambda start: Lines(b, kernel).tile)
        return
    if is_last and kernel.schedule.tile(names[-1]) > 1:
        raise kernel.refuse(f"tile size of '{names[-1]}' must be 1, as each element has places of its own")
    if not is_last and kernel.schedule.tile(names[0]) > 1:
        raise kernel.refuse(f"tile size of '{names[0]}' must be 1, as vectors run along '{names[-1]}'")
    nest(b, kernel, sizes, lambda start: runs(b, kernel, axis))


def runs(b: LoopBuilder, kernel: KernelView, axis: int) -> Callable[[dict[str, Span]], None]:
    """Tiles along the last dimension, or of one element."""
    *names, _ = kernel.space.names
    value = kernel.memory_of(kernel.root.operands[0])

    def tile(spans: dict[str, Span]) -> None:
        offsets, shape, valid = zip(*(spans[name] for name in names), strict=True)

        def element(index: Index) -> ir.Value:
            at, dims = list(offsets), list(range(len(names)))
            at[axis], dims[axis] = index, -1
            return b.load(value, at, shape, dims, valid=valid)

        total = weighted_sum(b, kernel, offsets[axis], shape, element)
        place = TilePlace(offsets, tuple(range(len(names))), shape, valid)
        store_results(b, kernel, {kernel.root.results[0]: total}, place)

    return tile


def weighted_sum(
    b: LoopBuilder, kernel: KernelView, place: Index, shape: Sequence[int], element: Callable[[Index], ir.Value]
) -> ir.Value:
    """The sum for one place along the axis, as a tile; `element(index)` loads what stands at an index."""
    indices, weights = (kernel.memory_of(operand) for operand in kernel.root.operands[1:])
    count = b.size(indices, 1)

    def term(number: Index) -> tuple[ir.Value, ir.Value]:
        at = [place, number]
        weight = memref.load(weights, [b.value(index) for index in at])
        return element(load_index(b, indices, at)), b.spread(shape, weight)

    def add(number: Index, total: ir.Value) -> ir.Value:
        return b.multiply_add(*term(number), total)

    total = arith.mulf(*term(0))
    if not isinstance(count, int) or count > UNROLLED:
        return b.reduce(1, count, 1, total, add)
    for number in range(1, count):
        total = add(number, total)
    return total


class Lines:
    """Lines along the last axis, a tile of them side by side."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel = b, kernel
        self.value, self.result = kernel.memory_of(kernel.root.operands[0]), kernel.results_memory[0]
        self.width, lines = b.size(self.value, 1), kernel.schedule.tile(kernel.space.names[0])
        self.lanes = lines
        length = self.width if isinstance(self.width, int) else LONGEST
        self.laid_out = b.alloc([length, lines], kernel.accumulator)
        self.sums = b.alloc([lines, lines], kernel.accumulator)

    def tile(self, spans: dict[str, Span]) -> None:
        """Those at a span; where the width is known at run time only, one by one if they are too long."""
        (span,) = spans.values()
        if isinstance(self.width, int):
            self._together(span)
            return
        branch = self.b.if_else(self.b.less(self.width, LONGEST + 1))
        with ir.InsertionPoint(branch.then_block):
            self._together(span)
            self.b.end_branch()
        with ir.InsertionPoint(branch.else_block):
            self._one_by_one(span)
            self.b.end_branch()

    def _together(self, span: Span) -> None:
        b, (line, lines, valid) = self.b, span

        def lay_out(first: Index, count: int, within: Index | None) -> None:
            shape, inside = (count, lines), (within, valid)
            read = b.load(self.value, [line, first], shape, [1, 0], valid=inside)
            b.store(read, self.laid_out, [first, 0], [0, 1], valid=inside)

        def add_up(first: Index, count: int, within: Index | None) -> None:
            with b.for_each(0, count if within is None else within) as number:
                place = b.add(first, number)
                total = weighted_sum(b, self.kernel, place, (1, lines), lambda index: self._element(index, lines))
                b.store(total, self.sums, [number, 0], [0, 1])
            shape, inside = (count, lines), (within, valid)
            total = b.load(self.sums, [0, 0], shape, [0, 1], valid=inside)
            self._store(total, TilePlace((line, first), (1, 0), shape, inside))

        self._columns(self.width, lay_out)
        self._columns(b.size(self.result, 1), add_up)

    def _columns(self, total: Index, body: TileBody) -> None:
        """Tiles along a line. The last may begin in the one before: that is less code than a tile of its size."""
        if not isinstance(total, int) or total < self.lanes:
            self.b.tiles(0, 0, total, self.lanes, body)
            return
        with self.b.for_each(0, total, self.lanes) as first:
            body(self.b.min(first, total - self.lanes) if total % self.lanes else first, self.lanes, None)

    def _one_by_one(self, span: Span) -> None:
        b, (first, lines, valid) = self.b, span
        last = b.add(first, lines if valid is None else valid)
        with b.for_each(first, last) as line, b.for_each(0, b.size(self.result, 1)) as place:

            def element(index: Index) -> ir.Value:
                return b.load(self.value, [line, index], (1, 1), [0, 1])

            total = weighted_sum(b, self.kernel, place, (1, 1), element)
            self._store(total, TilePlace((line, place), (0, 1), (1, 1), (None, None)))

    def _element(self, index: Index, lines: int) -> ir.Value:
        """An element of so many lines; what was not laid out, beyond the last line of all, is never stored."""
        return self.b.load(self.laid_out, [index, 0], (1, lines), [0, 1])

    def _store(self, total: ir.Value, place: TilePlace) -> None:
        store_results(self.b, self.kernel, {self.kernel.root.results[0]: total}, place)
