"""encode, decode and what reads encoded operands: each encoding of `terrace.dialects.encodings` as linalg."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.encodings import Encoding, Int4Groups, Int8Groups, IntegerGroups, encoding_of
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.contraction import matmul
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph import payload, payload_types
from terrace.mlir import DYNAMIC, arith, ir, linalg, math, tensor
from terrace.rewriting import Pattern, replace

Number = Callable[[ir.Value], ir.Value]


def _position(rank: int, axis: int, index: ir.Value) -> list[ir.Value]:
    """The element's own place in a linalg op, but along `axis`."""
    return [index if dim == axis else linalg.IndexOp(dim).result for dim in range(rank)]


def _of_groups(value: ir.Value, encoding: IntegerGroups, combine: Callable[..., ir.Value], prepare: Number) -> ir.Value:
    """The elements of each group, each `prepare`d, combined; zeros fill the last one up, and count."""
    axis, size, rank, f32 = encoding.axis, b.size_of(value, encoding.axis), len(shape_of(value)), ir.F32Type.get()
    count = b.ceildiv(size, encoding.group)
    more = [b.sub(b.mul(count, encoding.group), size) if dim == axis else 0 for dim in range(rank)]
    whole = b.pad(value, [0] * rank, more, 0.0)
    sizes = b.sizes_of(value)
    sizes[axis : axis + 1] = [count, encoding.group]
    grouped = b.expand(whole, b.groups_with(rank + 1, axis, 2), sizes)
    return b.reduce(grouped, [axis + 1], f32, initial=0.0, combine=combine, prepare=prepare)


def _each(body: Callable[..., ir.Value], *operands: ir.Value) -> ir.Value:
    """An f32 computed from each element of tensors of one shape."""
    maps = [b.dims(len(shape_of(operands[0])))] * len(operands)
    return b.elementwise(list(operands), maps, b.sizes_of(operands[0]), ir.F32Type.get(), body)


def _scales(value: ir.Value, encoding: IntegerGroups) -> list[ir.Value]:
    """Scales, and zero points if there are any, in f32."""
    f32, largest = ir.F32Type.get(), encoding.largest

    def number(value: float) -> ir.Value:
        return payload.constant(f32, value)

    def scale(width: ir.Value, steps: int) -> ir.Value:
        quotient = arith.divf(width, number(steps))
        return payload_types.rounded(quotient, ir.BF16Type.get()) if encoding.scale_bits == 16 else quotient

    if not encoding.zero_points:
        magnitude = _of_groups(value, encoding, arith.maximumf, math.absf)
        return [_each(lambda width: scale(width, largest), magnitude)]

    def zero(low: ir.Value, scale: ir.Value) -> ir.Value:
        point = arith.subf(number(-largest - 1), math.roundeven(arith.divf(low, scale)))
        return _limited(point, number(-largest - 1), number(largest), number(0))

    low = _of_groups(value, encoding, arith.minimumf, lambda x: x)
    high = _of_groups(value, encoding, arith.maximumf, lambda x: x)
    scales = _each(lambda high, low: scale(arith.subf(high, low), 2 * largest + 1), high, low)
    return [scales, _each(zero, low, scales)]


def _limited(value: ir.Value, low: ir.Value, high: ir.Value, otherwise: ir.Value) -> ir.Value:
    """A number within limits; `otherwise` for NaN."""
    known = arith.select(payload.compare("eq", value, value), value, otherwise)
    return arith.minimumf(arith.maximumf(known, low), high)


def _encode_groups(value: ir.Value, encoding: IntegerGroups) -> list[ir.Value]:
    """Scales first; then each byte from its one or two elements, of which the second may be missing."""
    axis, rank, (i8, index) = encoding.axis, len(shape_of(value)), (ir.IntegerType.get_signless(8), ir.IndexType.get())
    value = b.convert_elements(value, ir.F32Type.get())
    scales = _scales(value, encoding)
    sizes, size = b.sizes_of(value), b.index_value(b.size_of(value, axis))
    sizes[axis] = b.ceildiv(b.size_of(value, axis), encoding.per_byte)

    def number(count: int) -> ir.Value:
        return arith.constant(index, count)

    def code(at: ir.Value) -> ir.Value:
        x = tensor.extract(value, _position(rank, axis, at))
        group = _position(rank, axis, arith.divui(at, number(encoding.group)))
        scale, *zeros = (tensor.extract(part, group) for part in scales)
        ratio = math.roundeven(arith.divf(x, scale))
        smallest, largest, middle = (
            payload.constant(ratio.type, bound) for bound in (-encoding.largest - len(zeros), encoding.largest, 0.0)
        )
        if zeros:
            ratio, middle = arith.addf(ratio, zeros[0]), zeros[0]
        return arith.fptosi(i8, _limited(ratio, smallest, largest, middle))

    def byte() -> ir.Value:
        first = linalg.IndexOp(axis).result
        if encoding.per_byte == 1:
            return code(first)
        first = arith.muli(first, number(2))
        second = arith.addi(first, number(1))
        is_there = arith.cmpi(arith.CmpIPredicate.ult, second, size)
        upper = code(arith.select(is_there, second, first))
        high = arith.select(is_there, upper, arith.constant(i8, 0))
        low = arith.andi(code(first), arith.constant(i8, 15))
        return arith.ori(arith.shli(high, arith.constant(i8, 4)), low)

    stored = ir.Type.parse(encoding.scale_type)
    return [b.elementwise([], [], sizes, i8, byte), *(b.convert_elements(part, stored) for part in scales)]


def decode_groups(parts: Sequence[ir.Value], sizes: Sequence[b.Size], encoding: IntegerGroups) -> ir.Value:
    """Each element from its byte, or its half of one, and the scale of its group."""
    codes, axis, rank = parts[0], encoding.axis, len(sizes)
    i8, index, f32 = ir.IntegerType.get_signless(8), ir.IndexType.get(), ir.F32Type.get()

    def element() -> ir.Value:
        at, per_byte = linalg.IndexOp(axis).result, arith.constant(index, encoding.per_byte)
        code = tensor.extract(codes, _position(rank, axis, arith.divui(at, per_byte)))
        if encoding.per_byte == 2:
            is_low = arith.cmpi(arith.CmpIPredicate.eq, arith.remui(at, per_byte), arith.constant(index, 0))
            four = arith.constant(i8, 4)
            code = arith.shrsi(arith.select(is_low, arith.shli(code, four), code), four)
        group = _position(rank, axis, arith.divui(at, arith.constant(index, encoding.group)))
        scale, *zeros = (payload.cast(tensor.extract(part, group), f32) for part in parts[1:])
        value = payload.cast(code, f32)
        return arith.mulf(arith.subf(value, zeros[0]) if zeros else value, scale)

    return b.elementwise([], [], sizes, f32, element)


_ENCODE: dict[type[Encoding], Callable[[ir.Value, Any], list[ir.Value]]] = {
    Int4Groups: _encode_groups,
    Int8Groups: _encode_groups,
}
_DECODE: dict[type[Encoding], Callable[[Sequence[ir.Value], Sequence[b.Size], Any], ir.Value]] = {
    Int4Groups: decode_groups,
    Int8Groups: decode_groups,
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


@reference_of(graph.EncodedMatmulOp)
class ConvertEncodedMatmul(Pattern):
    """Decodes rhs, in f32, before it is multiplied."""

    def rewrite(self, op: ir.OpView) -> bool:
        lhs, *parts = op.operation.operands
        attrs = attributes_of(op)
        encoding = encoding_of(attrs.encoding)
        columns, k = b.size_of(parts[0], 1 - int(attrs.transpose_rhs)), b.size_of(lhs, len(shape_of(lhs)) - 1)
        rhs = _DECODE[type(encoding)](parts, [columns, k] if attrs.transpose_rhs else [k, columns], encoding)
        return matmul(op, lhs, rhs)
