"""The generator of softmax and of layer and RMS norm, along rows, with their epilogues.

A workgroup takes a block of rows. Each row, short enough for the nearest cache, is passed over several times: once for
each statistic and once for the result. Along a row, several vectors are in flight together.
"""

from __future__ import annotations

from collections.abc import Callable

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.conversion.kernel_to_loop.builder import Index, LoopBuilder
from terrace.lowering.conversion.kernel_to_loop.kernel import (
    KernelView,
    TilePlace,
    load_operand,
    store_results,
    workgroups,
)
from terrace.mlir import arith, ir, math

Element = Callable[[ir.Value], ir.Value]
"""What of each element of the input is reduced, as a function on tiles."""

_NEUTRAL = {"sum": 0.0, "max": float("-inf")}


class _Row:
    """Row `row` of the kernel's input, and passes over it."""

    def __init__(self, b: LoopBuilder, kernel: KernelView, row: Index) -> None:
        self.b, self.kernel, self.row = b, kernel, row
        self.root = kernel.root
        self.element_type = element_type_of(self.root.results[0])
        self.length = b.size(kernel.results_memory[0], 1)
        self.tile = kernel.schedule.tile("n")

    def place(self, column: Index, size: int, valid: Index | None) -> TilePlace:
        return TilePlace((self.row, column), (0, 1), (1, size), (None, valid))

    def load(self, operand: int, place: TilePlace) -> ir.Value:
        value = self.root.operands[operand]
        return load_operand(self.b, self.kernel.memory_of(value), shape_of(value), place)

    def number(self, value: float) -> ir.Value:
        return self.b.splat([1, 1], self.element_type, value)

    def fold(self, kind: str, element: Element) -> ir.Value:
        """The row reduced by `kind`, as a tile [1, 1]."""
        b, tile = self.b, self.tile
        remainder = b.mod(self.length, tile)
        full = b.sub(self.length, remainder)
        result = self.number(_NEUTRAL[kind])
        if not (isinstance(full, int) and full == 0):

            def body(column: Index, total: ir.Value) -> ir.Value:
                return _combine(total, element(self.load(0, self.place(column, tile, None))), kind)

            total = b.reduce(0, full, tile, b.splat([1, tile], self.element_type, _NEUTRAL[kind]), body)
            result = b.reduce_tile(total, kind)
        if isinstance(remainder, int) and remainder == 0:
            return result
        size, valid = (remainder, None) if isinstance(remainder, int) else (tile, remainder)
        tail = element(self.load(0, self.place(full, size, valid)))
        return _combine(result, b.reduce_tile(tail, kind, [None, valid]), kind)

    def finish(self, element: Callable[[ir.Value, TilePlace], ir.Value]) -> None:
        """Compute the result from each tile of the input, run the epilogue, and store it."""

        def body(column: Index, size: int, valid: Index | None) -> None:
            place = self.place(column, size, valid)
            tile = element(self.load(0, place), place)
            store_results(self.b, self.kernel, {self.root.results[0]: tile}, place)

        self.b.tiles(0, 0, self.length, self.tile, body)

    def repeat(self, number: ir.Value, like: ir.Value) -> ir.Value:
        return self.b.broadcast_tile(number, shape_of(like)[-1])

    def mean(self, total: ir.Value) -> ir.Value:
        """A sum over the row divided by the row's length."""
        if isinstance(self.length, int):
            return arith.mulf(total, self.number(1.0 / self.length))
        integer = ir.IntegerType.get_signless(64)
        count = arith.sitofp(self.element_type, arith.index_cast(integer, self.length))
        return arith.divf(total, self.b.spread([1, 1], count))


def _combine(left: ir.Value, right: ir.Value, kind: str) -> ir.Value:
    return arith.addf(left, right) if kind == "sum" else arith.maximumf(left, right)


def _softmax(row: _Row) -> None:
    largest = row.fold("max", lambda x: x)

    def shifted(x: ir.Value) -> ir.Value:
        return math.exp(arith.subf(x, row.repeat(largest, x)))

    scale = arith.divf(row.number(1.0), row.fold("sum", shifted))
    row.finish(lambda x, place: arith.mulf(shifted(x), row.repeat(scale, x)))


def _reciprocal_deviation(row: _Row, squares: ir.Value) -> ir.Value:
    """1 / sqrt(mean + epsilon) of a sum of squares."""
    epsilon = row.number(attributes_of(row.root).epsilon)
    root = math.sqrt(arith.addf(row.mean(squares), epsilon))
    return arith.divf(row.number(1.0), root)


def _layer_norm(row: _Row) -> None:
    mean = row.mean(row.fold("sum", lambda x: x))

    def centred(x: ir.Value) -> ir.Value:
        return arith.subf(x, row.repeat(mean, x))

    # Two passes: the mean of squares less the square of the mean loses all digits where the mean is large.
    def squared(x: ir.Value) -> ir.Value:
        return arith.mulf(centred(x), centred(x))

    scale = _reciprocal_deviation(row, row.fold("sum", squared))

    def result(x: ir.Value, place: TilePlace) -> ir.Value:
        normal = arith.mulf(centred(x), row.repeat(scale, x))
        return arith.addf(arith.mulf(normal, row.load(1, place)), row.load(2, place))

    row.finish(result)


def _rms_norm(row: _Row) -> None:
    scale = _reciprocal_deviation(row, row.fold("sum", lambda x: arith.mulf(x, x)))
    row.finish(lambda x, place: arith.mulf(arith.mulf(x, row.repeat(scale, x)), row.load(1, place)))


_ROOTS: dict[str, Callable[[_Row], None]] = {
    "graph.layer_norm": _layer_norm,
    "graph.rms_norm": _rms_norm,
    "graph.softmax": _softmax,
}


def generate(b: LoopBuilder, kernel: KernelView) -> None:
    """Emit the loops of a softmax, layer_norm or rms_norm kernel over [rows, columns]."""
    emit_row = _ROOTS.get(kernel.root.name)
    if emit_row is None:
        raise kernel.refuse(f"row_reduction has no form of {kernel.root.name}; it has {', '.join(_ROOTS)}")
    rows, block = b.size(kernel.results_memory[0], 0), kernel.schedule.block("m")
    kernel.check_schedule(tiled=("n",), blocked=("m",))
    with workgroups(b, kernel, {"m": rows}) as start, b.for_block(start.get("m", 0), block, rows) as row:
        emit_row(_Row(b, kernel, row))
