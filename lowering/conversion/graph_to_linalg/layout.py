"""Ops that move elements: reshape, permute, broadcast, slice, concat, pads, pack."""

from __future__ import annotations

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.mlir import DYNAMIC, arith, ir, linalg, tensor
from terrace.rewriting import Pattern


def declared_sizes(op: ir.OpView) -> list[b.Size]:
    """The sizes of the result of an op with operands `sizes`, which stand for the result's `?` in order."""
    operands = iter(list(op.operation.operands)[1:])
    shape = shape_of(op.operation.results[0])
    return [next(operands) if size == DYNAMIC else size for size in shape]


@reference_of(graph.ReshapeOp)
class ConvertReshape(Pattern):
    """Merges all dimensions into one and splits that again; a `?` on either side makes the middle `?`."""

    def rewrite(self, op: ir.OpView) -> bool:
        value = op.operation.operands[0]
        rank = len(shape_of(value))
        sizes = declared_sizes(op)
        flat = b.collapse(value, [list(range(rank))]) if rank else b.expand(value, [], [1])
        if sizes:
            return b.finish(op, b.expand(flat, [list(range(len(sizes)))], sizes))
        one = b.cast_type(flat, ir.RankedTensorType.get([1], element_type_of(value)))
        return b.finish(op, b.collapse(one, []))


@reference_of(graph.PermuteOp)
class ConvertPermute(Pattern):
    """A parallel copy with a permuted map."""

    def rewrite(self, op: ir.OpView) -> bool:
        return b.finish(op, b.transpose(op.operation.operands[0], attributes_of(op).permutation))


@reference_of(graph.BroadcastOp)
class ConvertBroadcast(Pattern):
    """A parallel copy that reads stretched dimensions at 0."""

    def rewrite(self, op: ir.OpView) -> bool:
        value = op.operation.operands[0]
        sizes = declared_sizes(op)
        maps = [b.broadcast_map(value, sizes)]
        return b.finish(op, b.elementwise([value], maps, sizes, element_type_of(value), lambda x: x))


@reference_of(graph.SliceOp)
class ConvertSlice(Pattern):
    """tensor.extract_slice; where the size is `?` the count of elements is computed, at least 0."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        attrs = attributes_of(op)
        offsets: list[b.Size] = []
        counts: list[b.Size] = []
        for axis, (start, stop, step) in enumerate(zip(attrs.starts, attrs.stops, attrs.steps, strict=True)):
            size = b.size_of(value, axis)
            # A dynamic size may be smaller than `start`, where the slice is empty, as in Python.
            offset = start if start == 0 else b.minimum(start, size)
            end = size if stop == -1 else stop
            offsets.append(offset)
            counts.append(b.ceildiv(b.sub(end, offset), step))
        if 0 in counts:
            # tensor.extract_slice refuses an offset at the very end, even for no elements.
            return b.finish(op, b.empty(counts, element_type_of(value)))
        return b.finish(op, b.extract_slice(value, offsets, counts, attrs.steps))


@reference_of(graph.ConcatOp)
class ConvertConcat(Pattern):
    """Writes both inputs into an empty tensor."""

    def rewrite(self, op: ir.OpView) -> bool:
        operands = list(op.operation.operands)
        axis = attributes_of(op).axis
        rank = len(shape_of(operands[0]))
        places: list[b.Size] = []
        total: b.Size = 0
        for operand in operands:
            places.append(total)
            total = b.add(total, b.size_of(operand, axis))
        sizes = b.sizes_of(operands[0])
        sizes[axis] = total
        result = b.empty(b.known_sizes(shape_of(op.operation.results[0]), sizes), element_type_of(operands[0]))
        for operand, place in zip(operands, places, strict=True):
            if 0 in shape_of(operand):
                continue  # tensor.insert_slice refuses an offset at the very end, even for no elements
            offsets: list[b.Size] = [0] * rank
            offsets[axis] = place
            result = b.insert_slice(operand, result, offsets, [1] * rank)
        return b.finish(op, result)


@reference_of(graph.PadOp)
class ConvertPad(Pattern):
    """tensor.pad."""

    def rewrite(self, op: ir.OpView) -> bool:
        attrs = attributes_of(op)
        return b.finish(op, b.pad(op.operation.operands[0], attrs.low, attrs.high, attrs.value))


@reference_of(graph.BorderPadOp)
class ConvertBorderPad(Pattern):
    """Each element by tensor.extract, from the place that the mode says."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,), attrs = op.operation.operands, attributes_of(op)
        inner = b.sizes_of(value)
        sizes = [b.add(b.add(low, n), high) for low, n, high in zip(attrs.low, inner, attrs.high, strict=True)]

        def body() -> ir.Value:
            sides = enumerate(zip(attrs.low, inner, strict=True))
            return tensor.extract(value, [self._place(attrs.mode, axis, *side) for axis, side in sides])

        return b.finish(op, b.elementwise([], [], sizes, element_type_of(value), body))

    @staticmethod
    def _place(mode: str, axis: int, low: int, size: b.Size) -> ir.Value:
        beside = arith.subi(linalg.IndexOp(axis).result, b.index_value(low))
        last = b.index_value(b.sub(size, 1))
        if mode == "circular":
            return arith.remui(arith.addi(beside, b.index_value(size)), b.index_value(size))
        if mode == "replicate":
            return arith.minsi(arith.maxsi(beside, b.index_value(0)), last)
        distance = arith.maxsi(beside, arith.subi(b.index_value(0), beside))
        return arith.minsi(distance, arith.subi(arith.addi(last, last), distance))


@reference_of(graph.PackOp)
class ConvertPack(Pattern):
    """Pads to whole blocks, splits them off, and moves them last."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        attrs = attributes_of(op)
        sizes = b.sizes_of(value)
        tiles = dict(zip(attrs.inner_dims, attrs.inner_tiles, strict=True))
        high: list[b.Size] = [0] * len(sizes)
        split: list[b.Size] = []
        groups: b.Groups = []
        for axis, size in enumerate(sizes):
            tile = tiles.get(axis)
            if tile is None:
                groups.append([len(split)])
                split.append(size)
                continue
            blocks = b.ceildiv(size, tile)
            high[axis] = b.sub(b.mul(blocks, tile), size)
            groups.append([len(split), len(split) + 1])
            split += [blocks, tile]
        padded = b.pad(value, [0] * len(sizes), high, 0.0)
        order = [groups[axis][0] for axis in attrs.outer_permutation]
        order += [groups[axis][1] for axis in attrs.inner_dims]
        return b.finish(op, b.transpose(b.expand(padded, groups, split), order))
