"""The generator of `graph.reduce`: sum, mean, max, min and product over any axes, kept in the result as size 1.

Loops over the dimensions that stay, and inside them over the reduced ones. Where the last dimension stays, the tile
runs along it and the reduction adds tiles; where it is reduced, several elements of a row are in flight and meet at the
row's end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrace.dialects.base import attributes_of
from terrace.lowering.graph.payload_types import cast, combine, constant, is_float, neutral, scalar_type
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.nest import nest
from terrace.lowering.kernels.summation import sum_in_blocks
from terrace.lowering.kernels.view import KernelView, TilePlace, store_results
from terrace.mlir import arith, ir


class _Reduce:
    """One kernel's loops."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel = b, kernel
        kind = attributes_of(kernel.root).kind
        self.is_min, self.is_mean = kind == "min", kind == "mean"
        # A minimum is the maximum of the negated elements, negated: exact, NaN included. Integers are inverted.
        self.kind = {"min": "max", "mean": "sum"}.get(kind, kind)
        self.memory = kernel.memory_of(kernel.root.operands[0])
        self.element_type = kernel.accumulator
        names = kernel.space.names
        self.sizes = [b.size(self.memory, axis) for axis in range(len(names))]
        self.reduced = [axis for axis in range(len(names)) if kernel.space.kinds[axis] == "reduction"]
        self.kept = [axis for axis in range(len(names)) if axis not in self.reduced]
        self.last = len(names) - 1
        self.tile = kernel.schedule.tile(names[-1])
        kernel.check_schedule(tiled=names[-1:], blocked=names)
        for axis in self.reduced:
            self._check_block(axis)
        if self.kind == "prod" and self.last in self.reduced and self.tile != 1:
            raise kernel.refuse(f"tile size of '{names[-1]}' must be 1 in a product along it")

    def _check_block(self, axis: int) -> None:
        """The block of a dimension that is reduced: how much of it is added up before it joins the whole sum."""
        block, step = self.block(axis), self.tile if axis == self.last else 1
        name = self.kernel.space.names[axis]
        if block and self.kind != "sum":
            raise self.kernel.refuse(f"block size of '{name}' must be 0, as only sums are made in blocks")
        if block % step:
            raise self.kernel.refuse(f"block size of '{name}' must be a multiple of its tile size, {step}")

    def block(self, axis: int) -> int:
        return self.kernel.schedule.block(self.kernel.space.names[axis])

    def emit(self) -> None:
        """Loops over what stays."""
        names = self.kernel.space.names
        sizes = {names[axis]: self.sizes[axis] for axis in self.kept}
        nest(self.b, self.kernel, sizes, lambda start: self.one_tile)

    def one_tile(self, where: dict[str, Span]) -> None:
        """A tile of the result: where it stands in the dimensions that stay."""
        spans = {axis: where.get(name, (0, 1, None)) for axis, name in enumerate(self.kernel.space.names)}
        total = self.along_row(spans) if self.last in self.reduced else self.over(self.reduced, spans, self.load)
        offsets, shape, valid = zip(*spans.values(), strict=True)
        place = TilePlace(offsets, tuple(range(self.last + 1)), shape, valid)
        store_results(self.b, self.kernel, {self.kernel.root.results[0]: self.finish(total, shape)}, place)

    def over(
        self, axes: Sequence[int], spans: dict[int, Span], element: Callable[[dict[int, Span]], ir.Value]
    ) -> ir.Value:
        """The tiles that `element` gives at each index of the reduced `axes`, combined."""
        shape = [size for _, size, _ in spans.values()]
        nothing = self.b.splat(shape, self.element_type, neutral(self.kind, self.element_type))

        def loops(remaining: Sequence[int], spans: dict[int, Span], total: ir.Value) -> ir.Value:
            if not remaining:
                return combine(self.kind, total, element(spans))
            axis, *inner = remaining
            step = spans[axis][1]
            upper = self.full() if axis == self.last else self.sizes[axis]
            block = self.block(axis)

            def body(at: Index, totals: list[ir.Value]) -> list[ir.Value]:
                return [loops(inner, {**spans, axis: (at, step, None)}, *totals)]

            if not block or (isinstance(upper, int) and upper <= block):
                return self.b.reduce_all(0, upper, step, [total], body)[0]
            return combine(self.kind, total, sum_in_blocks(self.b, upper, step, block, [nothing], body)[0])

        return loops(axes, spans, nothing)

    def full(self) -> Index:
        """How many elements of a row its full tiles cover."""
        return self.b.sub(self.sizes[self.last], self.b.mod(self.sizes[self.last], self.tile))

    def along_row(self, spans: dict[int, Span]) -> ir.Value:
        """The reduction over the last dimension, too: full tiles, met at the end, then what is left of each row."""
        full, outer = self.full(), self.reduced[:-1]
        remainder = self.b.mod(self.sizes[self.last], self.tile)
        parts: list[ir.Value] = []
        if not (isinstance(full, int) and full == 0):
            total = self.over(self.reduced, {**spans, self.last: (0, self.tile, None)}, self.load)
            parts.append(total if self.tile == 1 else self.b.reduce_tile(total, self.kind))
        if not (isinstance(remainder, int) and remainder == 0):
            size, valid = (remainder, None) if isinstance(remainder, int) else (self.tile, remainder)

            def tail(at: dict[int, Span]) -> ir.Value:
                counts = [None] * self.last + [valid]
                return self.b.reduce_tile(self.load({**at, self.last: (full, size, valid)}), self.kind, counts)

            parts.append(self.over(outer, spans, tail))
        return parts[0] if len(parts) == 1 else combine(self.kind, *parts)

    def load(self, spans: dict[int, Span]) -> ir.Value:
        offsets, shape, valid = zip(*spans.values(), strict=True)
        tile = self.b.load(self.memory, offsets, shape, tuple(range(self.last + 1)), valid=valid)
        return _reversed(tile) if self.is_min else cast(tile, self.element_type)

    def finish(self, total: ir.Value, shape: Sequence[int]) -> ir.Value:
        """What the combined elements mean."""
        if self.is_min:
            return _reversed(total)
        if not self.is_mean:
            return total
        count: Index = 1
        for axis in self.reduced:
            count = self.b.mul(count, self.sizes[axis])
        if isinstance(count, int):
            return arith.mulf(total, self.b.splat(shape, self.element_type, 1.0 / count))
        number = arith.sitofp(self.element_type, arith.index_cast(ir.IntegerType.get_signless(64), count))
        return arith.divf(total, self.b.spread(shape, number))


def _reversed(tile: ir.Value) -> ir.Value:
    """Elements whose order is the other way round; twice, they are what they were."""
    return arith.negf(tile) if is_float(scalar_type(tile.type)) else arith.xori(tile, constant(tile.type, -1))


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a reduce kernel."""
    _Reduce(b, kernel).emit()
