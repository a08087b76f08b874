"""embedding, gather, resample and scatter: elements are extracted at indices, and updated by tm_tensor.scatter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph_indexed import stretches
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph import payload
from terrace.mlir import DYNAMIC, arith, ir, linalg, load_torch_dialects, tensor
from terrace.rewriting import Pattern


@reference_of(graph.EmbeddingOp)
class ConvertEmbedding(Pattern):
    """Gathers rows of the table by tensor.extract."""

    def rewrite(self, op: ir.OpView) -> bool:
        table, indices = op.operation.operands
        sizes = [*b.sizes_of(indices), b.size_of(table, 1)]
        last = len(sizes) - 1

        def body(index: ir.Value) -> ir.Value:
            row = arith.index_cast(ir.IndexType.get(), index)
            column = linalg.IndexOp(last).result
            if len(shape_of(table)) == 2:
                return tensor.extract(table, [row, column])
            block = b.index_value(b.size_of(table, 2))
            return tensor.extract(table, [arith.divui(row, block), column, arith.remui(row, block)])

        maps = [b.dims(len(sizes))[:last]]
        return b.finish(op, b.elementwise([indices], maps, sizes, element_type_of(table), body))


def repeated_map(stretched: Sequence[bool]) -> list[ir.AffineExpr]:
    """Where a tensor is read that is repeated along some dimensions."""
    zero = ir.AffineExpr.get_constant(0)
    return [zero if repeats else ir.AffineExpr.get_dim(axis) for axis, repeats in enumerate(stretched)]


@reference_of(graph.GatherOp)
class ConvertGather(Pattern):
    """Reads element by element, by tensor.extract."""

    def rewrite(self, op: ir.OpView) -> bool:
        value, indices = op.operation.operands
        axis = attributes_of(op).axis
        stretched = stretches(shape_of(indices), axis)
        sizes = [b.size_of(value if repeats else indices, i) for i, repeats in enumerate(stretched)]

        def body(index: ir.Value) -> ir.Value:
            place = arith.index_cast(ir.IndexType.get(), index)
            return tensor.extract(value, [place if i == axis else linalg.IndexOp(i).result for i in range(len(sizes))])

        result = b.elementwise([indices], [repeated_map(stretched)], sizes, element_type_of(value), body)
        return b.finish(op, result)


@reference_of(graph.ResampleOp)
class ConvertResample(Pattern):
    """The terms, along a last dimension, each an element by tensor.extract; then their sums."""

    def rewrite(self, op: ir.OpView) -> bool:
        value, indices, weights = op.operation.operands
        axis, wide = attributes_of(op).axis, element_type_of(weights)
        sizes = [*b.sizes_of(value), b.size_of(indices, 1)]
        sizes[axis] = b.size_of(indices, 0)
        rank = len(sizes) - 1
        table = [ir.AffineExpr.get_dim(axis), ir.AffineExpr.get_dim(rank)]

        def body(index: ir.Value, weight: ir.Value) -> ir.Value:
            place = arith.index_cast(ir.IndexType.get(), index)
            at = [place if i == axis else linalg.IndexOp(i).result for i in range(rank)]
            return arith.mulf(payload.cast(tensor.extract(value, at), wide), weight)

        terms = b.elementwise([indices, weights], [table, table], sizes, wide, body)
        total = b.reduce(terms, [rank], wide, initial=0.0, combine=arith.addf)
        return b.finish(op, b.convert_elements(total, element_type_of(value)))


@reference_of(graph.ScatterOp)
class ConvertScatter(Pattern):
    """Whole rows where the indices are those of the first dimension, else elements, each at all its coordinates."""

    def rewrite(self, op: ir.OpView) -> bool:
        value, indices, source = op.operation.operands
        attrs, element_type = attributes_of(op), element_type_of(value)
        update = Updates(indices, source, attrs.axis)
        rest = shape_of(value)[1:]
        are_rows = attrs.axis == 0 and all(size == 1 for size in shape_of(indices)[1:])
        if are_rows and update.sizes[1:] == rest and DYNAMIC not in rest:
            places, elements = update.rows()
        else:
            places, elements = update.elements()

        def body(new: ir.Value, old: ir.Value) -> ir.Value:
            wide = payload.compute_type(element_type)
            operands = [payload.cast(old, wide), payload.cast(new, wide)]
            return payload.cast(payload.updated(attrs.kind, *operands), element_type)

        return b.finish(op, scatter(elements, places, value, body))


class Updates:
    """The points of a scatter: `sizes` of them in each dimension."""

    def __init__(self, indices: ir.Value, source: ir.Value, axis: int) -> None:
        self._indices, self._source, self._axis = indices, source, axis
        self._stretched = stretches(shape_of(indices), axis)
        pairs = enumerate(self._stretched)
        self.sizes = [b.size_of(source if repeats else indices, i) for i, repeats in pairs]

    def _read(self) -> ir.Value:
        """The source's element of each point."""
        own = shape_of(self._source)
        shape = [1 if size == 1 else count for size, count in zip(own, self.sizes, strict=True)]
        read = b.extract_slice(self._source, [0] * len(own), shape, [1] * len(own))
        repeated = repeated_map([size == 1 for size in own])
        return b.elementwise([read], [repeated], self.sizes, element_type_of(self._source), lambda element: element)

    def rows(self) -> tuple[ir.Value, ir.Value]:
        """The indices [n, 1], and the updates [n, 1, ...], where the first dimension is that of the indices."""
        rank, count = len(self.sizes), self.sizes[0]
        places = b.collapse(self._indices, [list(range(rank))])
        groups = [[0, 1], *([axis] for axis in range(2, rank + 1))]
        return (
            b.expand(_in_64_bits(places), [[0, 1]], [count, 1]),
            b.expand(self._read(), groups, [count, 1, *self.sizes[1:]]),
        )

    def elements(self) -> tuple[ir.Value, ir.Value]:
        """The coordinates [n, rank] and the updates [n] of all points in row-major order."""
        rank = len(self.sizes)
        i64 = ir.IntegerType.get_signless(64)

        def body(index: ir.Value) -> ir.Value:
            dimension, coordinate = linalg.IndexOp(rank).result, index
            for axis in (axis for axis in range(rank) if axis != self._axis):
                is_here = arith.cmpi(arith.CmpIPredicate.eq, dimension, b.index_value(axis))
                coordinate = arith.select(is_here, arith.index_cast(i64, linalg.IndexOp(axis).result), coordinate)
            return coordinate

        maps = [repeated_map(self._stretched)]
        at_all = b.elementwise([_in_64_bits(self._indices)], maps, [*self.sizes, rank], i64, body)
        flat = list(range(rank))
        return b.collapse(at_all, [flat, [rank]]), b.collapse(self._read(), [flat])


def _in_64_bits(indices: ir.Value) -> ir.Value:
    return b.convert_elements(indices, ir.IntegerType.get_signless(64))


def scatter(
    updates: ir.Value, places: ir.Value, into: ir.Value, body: Callable[[ir.Value, ir.Value], ir.Value]
) -> ir.Value:
    """`tm_tensor.scatter` of updates, one after another, at places whose coordinates are the leading ones of `into`."""
    if not into.context.is_registered_operation("tm_tensor.scatter"):
        load_torch_dialects(into.context)
    depth = shape_of(places)[1]
    operation = ir.Operation.create(
        "tm_tensor.scatter",
        results=[into.type],
        operands=[updates, places, into],
        attributes={
            "dimension_map": ir.DenseI64ArrayAttr.get(list(range(depth))),
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([2, 1]),
            "unique_indices": ir.BoolAttr.get(False),
        },
        regions=1,
    )
    element_type = element_type_of(into)
    block = operation.regions[0].blocks.append(element_type, element_type, arg_locs=[operation.location] * 2)
    with ir.InsertionPoint(block):
        ir.Operation.create("tm_tensor.yield", operands=[body(*block.arguments)])
    return operation.results[0]
