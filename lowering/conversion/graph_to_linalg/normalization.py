"""softmax and the norms as a few linalg.generic each: maximum subtracted, variance from centred values, f32 inside."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph import payload
from terrace.mlir import arith, ir, math
from terrace.rewriting import Pattern

Exprs = list[ir.AffineExpr]


def without(axes: Sequence[int], rank: int) -> Exprs:
    """The affine dimensions of a tensor of `rank` whose `axes` are reduced away."""
    return [expr for axis, expr in enumerate(b.dims(rank)) if axis not in axes]


def softmax(value: ir.Value, axis: int) -> ir.Value:
    """softmax of `value` along `axis`, in its own element type (f32 or f64)."""
    element_type = element_type_of(value)
    sizes = b.sizes_of(value)
    rank = len(sizes)
    maps = [b.dims(rank), without([axis], rank)]
    largest = b.reduce(value, [axis], element_type, initial=float("-inf"), combine=arith.maximumf)
    powers = b.elementwise([value, largest], maps, sizes, element_type, lambda x, top: math.exp(arith.subf(x, top)))
    total = b.reduce(powers, [axis], element_type, initial=0.0, combine=arith.addf)
    return b.elementwise([powers, total], maps, sizes, element_type, arith.divf)


@reference_of(graph.SoftmaxOp)
class ConvertSoftmax(Pattern):
    """Subtracts the maximum, so that exp never overflows."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        element_type = element_type_of(value)
        wide = b.convert_elements(value, payload.compute_type(element_type))
        result = softmax(wide, attributes_of(op).axis)
        return b.finish(op, b.convert_elements(result, element_type))


def float_count(sizes: Sequence[b.Size], element_type: ir.Type) -> ir.Value:
    """The product of `sizes` as a number of `element_type`."""
    count = b.product(sizes)
    if isinstance(count, int):
        return payload.constant(element_type, count)
    integer = arith.index_cast(ir.IntegerType.get_signless(64), count)
    return arith.uitofp(element_type, integer)


def divide(value: ir.Value, divisor: ir.Value) -> ir.Value:
    """Tensor `value` divided by the scalar `divisor`."""
    sizes = b.sizes_of(value)
    element_type = element_type_of(value)
    return b.elementwise([value], [b.dims(len(sizes))], sizes, element_type, lambda x: arith.divf(x, divisor))


def mean_of(value: ir.Value, axes: Sequence[int], element_type: ir.Type) -> ir.Value:
    """The mean of `value` over `axes` (dropped), summed in `element_type`."""
    total = b.reduce(value, axes, element_type, initial=0.0, combine=arith.addf)
    return divide(total, float_count([b.size_of(value, axis) for axis in axes], element_type))


def variance_of(value: ir.Value, mean: ir.Value, axes: Sequence[int]) -> ir.Value:
    """The biased variance over `axes`, from centred values: the one-pass formula cancels."""
    element_type = element_type_of(mean)

    def squared_distance(x: ir.Value, centre: ir.Value) -> ir.Value:
        distance = arith.subf(x, centre)
        return arith.mulf(distance, distance)

    others = [(mean, without(axes, len(shape_of(value))))]
    total = b.reduce(
        value, axes, element_type, initial=0.0, combine=arith.addf, prepare=squared_distance, others=others
    )
    return divide(total, float_count([b.size_of(value, axis) for axis in axes], element_type))


def inverse_root(variance: ir.Value, epsilon: float) -> ir.Value:
    """1 / sqrt(variance + epsilon), a scalar."""
    shifted = arith.addf(variance, payload.constant(variance.type, epsilon))
    return arith.divf(payload.constant(variance.type, 1.0), math.sqrt(shifted))


def normalize(
    value: ir.Value,
    axes: Sequence[int],
    scale: ir.Value,
    shift: ir.Value,
    *,
    affine: Exprs,
    epsilon: float,
) -> ir.Value:
    """(value - mean) / sqrt(variance + epsilon) * scale + shift over `axes`; `affine` indexes scale and shift."""
    element_type = element_type_of(value)
    wide = payload.compute_type(element_type)
    sizes = b.sizes_of(value)
    rank = len(sizes)
    mean = mean_of(value, axes, wide)
    variance = variance_of(value, mean, axes)

    def body(*scalars: ir.Value) -> ir.Value:
        x, centre, spread, factor, offset = (payload.cast(scalar, wide) for scalar in scalars)
        unit = arith.mulf(arith.subf(x, centre), inverse_root(spread, epsilon))
        return payload.cast(arith.addf(arith.mulf(unit, factor), offset), element_type)

    maps = [b.dims(rank), without(axes, rank), without(axes, rank), affine, affine]
    return b.elementwise([value, mean, variance, scale, shift], maps, sizes, element_type, body)


@reference_of(graph.LayerNormOp)
class ConvertLayerNorm(Pattern):
    """Normalises over the trailing dimensions of `scale`."""

    def rewrite(self, op: ir.OpView) -> bool:
        value, scale, shift = op.operation.operands
        rank = len(shape_of(value))
        axes = list(range(rank - len(shape_of(scale)), rank))
        affine = b.dims(rank)[rank - len(axes) :]
        return b.finish(op, normalize(value, axes, scale, shift, affine=affine, epsilon=attributes_of(op).epsilon))


@reference_of(graph.GroupNormOp)
class ConvertGroupNorm(Pattern):
    """Splits the channels into groups and normalises over all but these and the batch."""

    def rewrite(self, op: ir.OpView) -> bool:
        value, scale, shift = op.operation.operands
        attrs = attributes_of(op)
        axis, sizes = attrs.axis, b.sizes_of(value)
        split: list[b.Size] = [attrs.groups, b.floordiv(sizes[axis], attrs.groups)]
        rank = len(sizes) + 1
        groups = b.groups_with(rank, axis, 2)
        image = b.expand(value, groups, [*sizes[:axis], *split, *sizes[axis + 1 :]])
        scale, shift = (b.expand(v, [[0, 1]], split) for v in (scale, shift))
        axes = [other for other in range(1, rank) if other != axis]
        result = normalize(image, axes, scale, shift, affine=b.dims(rank)[axis : axis + 2], epsilon=attrs.epsilon)
        return b.finish(op, b.collapse(result, groups))


@reference_of(graph.RmsNormOp)
class ConvertRmsNorm(Pattern):
    """Divides by the root of the mean square over the trailing dimensions of `scale`."""

    def rewrite(self, op: ir.OpView) -> bool:
        value, scale = op.operation.operands
        epsilon = attributes_of(op).epsilon
        element_type = element_type_of(value)
        wide = payload.compute_type(element_type)
        sizes = b.sizes_of(value)
        rank = len(sizes)
        axes = list(range(rank - len(shape_of(scale)), rank))
        total = b.reduce(value, axes, wide, initial=0.0, combine=arith.addf, prepare=lambda x: arith.mulf(x, x))
        mean = divide(total, float_count([sizes[axis] for axis in axes], wide))

        def body(*scalars: ir.Value) -> ir.Value:
            x, square, factor = (payload.cast(scalar, wide) for scalar in scalars)
            return payload.cast(arith.mulf(arith.mulf(x, inverse_root(square, epsilon)), factor), element_type)

        maps = [b.dims(rank), without(axes, rank), b.dims(rank)[rank - len(axes) :]]
        return b.finish(op, b.elementwise([value, mean, scale], maps, sizes, element_type, body))


@reference_of(graph.BatchNormOp)
class ConvertBatchNorm(Pattern):
    """One elementwise op over the image and four vectors of the channels."""

    def rewrite(self, op: ir.OpView) -> bool:
        operands = list(op.operation.operands)
        attrs = attributes_of(op)
        element_type = element_type_of(operands[0])
        wide = payload.compute_type(element_type)
        sizes = b.sizes_of(operands[0])

        def body(*scalars: ir.Value) -> ir.Value:
            x, mean, variance, scale, shift = (payload.cast(scalar, wide) for scalar in scalars)
            unit = arith.mulf(arith.subf(x, mean), inverse_root(variance, attrs.epsilon))
            return payload.cast(arith.addf(arith.mulf(unit, scale), shift), element_type)

        channel = [b.dims(len(sizes))[attrs.axis]]
        maps = [b.dims(len(sizes)), *[channel] * 4]
        return b.finish(op, b.elementwise(operands, maps, sizes, element_type, body))
