"""encode and decode: each encoding of `terrace.dialects.encodings` as linalg."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.encodings import Encoding, Int4Groups, encoding_of
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph import payload
from terrace.mlir import DYNAMIC, arith, ir, linalg, math, tensor
from terrace.rewriting import Pattern, replace

LARGEST = 7
"""The largest magnitude of an int4 code, whose range is symmetric."""


def _position(rank: int, axis: int, index: ir.Value) -> list[ir.Value]:
    """The element's own place in a linalg op, but along `axis`."""
    return [index if dim == axis else linalg.IndexOp(dim).result for dim in range(rank)]


def _group_scales(value: ir.Value, encoding: Int4Groups) -> ir.Value:
    """max|x| / 7 of each group; zeros fill the last one up."""
    axis, size, rank, f32 = encoding.axis, b.size_of(value, encoding.axis), len(shape_of(value)), ir.F32Type.get()
    count = b.ceildiv(size, encoding.group)
    more = [b.sub(b.mul(count, encoding.group), size) if dim == axis else 0 for dim in range(rank)]
    whole = b.pad(value, [0] * rank, more, 0.0)
    sizes = b.sizes_of(value)
    sizes[axis : axis + 1] = [count, encoding.group]
    grouped = b.expand(whole, b.groups_with(rank + 1, axis, 2), sizes)
    largest = b.reduce(grouped, [axis + 1], f32, initial=0.0, combine=arith.maximumf, prepare=math.absf)

    def scale(x: ir.Value) -> ir.Value:
        return arith.divf(x, payload.constant(f32, LARGEST))

    return b.elementwise([largest], [b.dims(rank)], b.sizes_of(largest), f32, scale)


def _encode_int4(value: ir.Value, encoding: Int4Groups) -> list[ir.Value]:
    """Scales first; then each byte from two elements, of which the second may be missing."""
    axis, rank, (i8, index) = encoding.axis, len(shape_of(value)), (ir.IntegerType.get_signless(8), ir.IndexType.get())
    value = b.convert_elements(value, ir.F32Type.get())
    scales = _group_scales(value, encoding)
    sizes, size = b.sizes_of(value), b.index_value(b.size_of(value, axis))
    sizes[axis] = b.ceildiv(b.size_of(value, axis), 2)

    def number(count: int) -> ir.Value:
        return arith.constant(index, count)

    def code(at: ir.Value) -> ir.Value:
        x = tensor.extract(value, _position(rank, axis, at))
        scale = tensor.extract(scales, _position(rank, axis, arith.divui(at, number(encoding.group))))
        ratio = math.roundeven(arith.divf(x, scale))
        zero, low, high = (payload.constant(ratio.type, bound) for bound in (0.0, -LARGEST, LARGEST))
        known = arith.select(payload.compare("eq", ratio, ratio), ratio, zero)
        return arith.fptosi(i8, arith.minimumf(arith.maximumf(known, low), high))

    def byte() -> ir.Value:
        first = arith.muli(linalg.IndexOp(axis).result, number(2))
        second = arith.addi(first, number(1))
        is_there = arith.cmpi(arith.CmpIPredicate.ult, second, size)
        upper = code(arith.select(is_there, second, first))
        high = arith.select(is_there, upper, arith.constant(i8, 0))
        low = arith.andi(code(first), arith.constant(i8, 15))
        return arith.ori(arith.shli(high, arith.constant(i8, 4)), low)

    return [b.elementwise([], [], sizes, i8, byte), scales]


def _decode_int4(parts: Sequence[ir.Value], sizes: Sequence[b.Size], encoding: Int4Groups) -> ir.Value:
    """Each element from its half of a byte and the scale of its group."""
    (codes, scales), axis, rank = parts, encoding.axis, len(sizes)
    i8, index, f32 = ir.IntegerType.get_signless(8), ir.IndexType.get(), ir.F32Type.get()

    def element() -> ir.Value:
        at, two, four = linalg.IndexOp(axis).result, arith.constant(index, 2), arith.constant(i8, 4)
        byte = tensor.extract(codes, _position(rank, axis, arith.divui(at, two)))
        is_low = arith.cmpi(arith.CmpIPredicate.eq, arith.remui(at, two), arith.constant(index, 0))
        code = arith.shrsi(arith.select(is_low, arith.shli(byte, four), byte), four)
        group = arith.divui(at, arith.constant(index, encoding.group))
        return arith.mulf(payload.cast(code, f32), tensor.extract(scales, _position(rank, axis, group)))

    return b.elementwise([], [], sizes, f32, element)


_ENCODE: dict[type[Encoding], Callable[[ir.Value, Any], list[ir.Value]]] = {Int4Groups: _encode_int4}
_DECODE: dict[type[Encoding], Callable[[Sequence[ir.Value], Sequence[b.Size], Any], ir.Value]] = {
    Int4Groups: _decode_int4
}


@reference_of(graph.EncodeOp)
class ConvertEncode(Pattern):
    """Computes the storage in f32."""

    def rewrite(self, op: ir.OpView) -> bool:
        encoding = encoding_of(attributes_of(op).encoding)
        parts = _ENCODE[type(encoding)](op.operation.operands[0], encoding)
        results = zip(parts, op.operation.results, strict=True)
        return replace(op, *(b.cast_type(part, result.type) for part, result in results))


@reference_of(graph.DecodeOp)
class ConvertDecode(Pattern):
    """Computes the elements in f32, then rounds them."""

    def rewrite(self, op: ir.OpView) -> bool:
        encoding, result = encoding_of(attributes_of(op).encoding), op.operation.results[0]
        parts = [v for v in op.operation.operands if isinstance(v.type, ir.RankedTensorType)]
        given = list(op.operation.operands)[len(parts) :]
        sizes: list[b.Size] = [
            size if size != DYNAMIC else given[0] if axis == encoding.open_axis else b.size_of(parts[0], axis)
            for axis, size in enumerate(shape_of(result))
        ]
        value = _DECODE[type(encoding)](parts, sizes, encoding)
        return b.finish(op, b.convert_elements(value, element_type_of(result)))
