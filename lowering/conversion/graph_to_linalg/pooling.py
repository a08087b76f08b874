"""max_pool2d and avg_pool2d as linalg's pooling ops over a padded image."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import Attributes, attributes_of, element_type_of
from terrace.dialects.graph_base import image_axes
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.reduction import initial_value
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph import payload
from terrace.mlir import arith, ir, linalg
from terrace.rewriting import Pattern

POOLING = {
    ("max", "NCHW"): linalg.pooling_nchw_max,
    ("max", "NHWC"): linalg.pooling_nhwc_max,
    ("sum", "NCHW"): linalg.pooling_nchw_sum,
    ("sum", "NHWC"): linalg.pooling_nhwc_sum,
}


def window_count(size: b.Size, axis: int, attrs: Attributes) -> b.Size:
    """How many windows fit along spatial `axis` (0 height, 1 width): `graph.window_size` for sizes at run time."""
    stride = attrs.strides[axis]
    low, high = attrs.padding[2 * axis : 2 * axis + 2]
    span = b.sub(b.add(size, low + high), attrs.dilations[axis] * (attrs.kernel[axis] - 1) + 1)
    if not attrs.ceil_mode:
        return b.add(b.floordiv(span, stride), 1)
    # A last, partial window counts only if it starts inside the image or its lower padding.
    count = b.add(b.ceildiv(span, stride), 1)
    starts_inside = b.ceildiv(b.add(size, low), stride)
    return b.minimum(count, starts_inside)


def pool(value: ir.Value, kind: str, attrs: Attributes, element_type: ir.Type, fill: float) -> ir.Value:
    """The reduction `kind` (max or sum) of each window of `value`, padded with `fill`, in `element_type`."""
    spatial = image_axes(attrs.layout)[1:]
    sizes = b.sizes_of(value)
    low: list[b.Size] = [0] * 4
    high: list[b.Size] = [0] * 4
    counts: dict[int, b.Size] = {}
    spans: dict[int, b.Size] = {}
    for i, axis in enumerate(spatial):
        counts[axis], spans[axis] = window_count(sizes[axis], i, attrs), attrs.dilations[i] * (attrs.kernel[i] - 1) + 1
        before, after = attrs.padding[2 * i : 2 * i + 2]
        low[axis], high[axis] = before, after
        if attrs.ceil_mode:
            # The last window may reach beyond the padding.
            reach = b.add(b.mul(b.sub(counts[axis], 1), attrs.strides[i]), spans[axis])
            high[axis] = b.maximum(b.sub(reach, b.add(sizes[axis], before)), after)
    result = [counts.get(axis, size) for axis, size in enumerate(sizes)]
    return POOLING[kind, attrs.layout](
        b.single_windows(b.pad(value, low, high, fill), counts, spans),
        b.empty(attrs.kernel, element_type),
        outs=[b.filled(result, element_type, fill)],
        strides=attrs.strides,
        dilations=attrs.dilations,
    )


@reference_of(graph.MaxPool2dOp)
class ConvertMaxPool2d(Pattern):
    """Pads with the smallest value; linalg's maximum propagates NaN."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        element_type = element_type_of(value)
        fill = initial_value("max", element_type)
        return b.finish(op, pool(value, "max", attributes_of(op), element_type, fill))


@reference_of(graph.SumPool2dOp)
class ConvertSumPool2d(Pattern):
    """Pads with zeros; linalg's sum widens the elements with their sign."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        element_type = element_type_of(op.operation.results[0])
        return b.finish(op, pool(value, "sum", attributes_of(op), element_type, 0))


def covered(position: ir.Value, size: ir.Value, axis: int, attrs: Attributes) -> ir.Value:
    """How many elements of the window at output `position` along spatial `axis` count in the divisor, as index."""
    kernel, stride, dilation = attrs.kernel[axis], attrs.strides[axis], attrs.dilations[axis]
    low, high = attrs.padding[2 * axis : 2 * axis + 2]
    include = attrs.count_include_pad
    start = arith.subi(b.index_value(b.mul(position, stride)), b.index_value(low))

    def elements_below(limit: ir.Value) -> ir.Value:
        distance = arith.subi(limit, start)
        if dilation != 1:
            distance = arith.ceildivsi(distance, b.index_value(dilation))
        return b.index_value(b.minimum(b.maximum(distance, 0), kernel))

    end = elements_below(b.index_value(b.add(size, high if include else 0)))
    if include or low == 0:
        return end
    return arith.subi(end, elements_below(b.index_value(0)))


@reference_of(graph.AvgPool2dOp)
class ConvertAvgPool2d(Pattern):
    """Sums the windows and divides by a constant, or by a count where windows hang over the edge."""

    def rewrite(self, op: ir.OpView) -> bool:
        (value,) = op.operation.operands
        attrs = attributes_of(op)
        element_type = element_type_of(value)
        wide = payload.compute_type(element_type)
        total = pool(value, "sum", attrs, wide, 0.0)
        sizes = b.sizes_of(total)
        spatial = image_axes(attrs.layout)[1:]
        # Sizes are read out here: the body of a linalg op is a poor place for tensor.dim.
        image = [b.index_value(b.size_of(value, axis)) for axis in spatial]

        def body(x: ir.Value) -> ir.Value:
            return payload.cast(arith.divf(x, self.divisor(image, spatial, attrs, wide)), element_type)

        return b.finish(op, b.elementwise([total], [b.dims(4)], sizes, element_type, body))

    @staticmethod
    def divisor(image: Sequence[ir.Value], spatial: Sequence[int], attrs: Attributes, wide: ir.Type) -> ir.Value:
        """The number of elements that count in the window of the current output element."""
        clipped = not attrs.count_include_pad and any(attrs.padding)
        if not clipped and not attrs.ceil_mode:
            return payload.constant(wide, attrs.kernel[0] * attrs.kernel[1])
        height, width = (
            covered(linalg.IndexOp(axis).result, size, i, attrs)
            for i, (axis, size) in enumerate(zip(spatial, image, strict=True))
        )
        count = arith.index_cast(ir.IntegerType.get_signless(64), arith.muli(height, width))
        return arith.uitofp(wide, count)
