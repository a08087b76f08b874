"""conv2d and conv_transpose2d: linalg's named convolutions where one fits, else a linalg.generic over groups."""

from __future__ import annotations

import dataclasses

from terrace.dialects import graph
from terrace.dialects.base import Attributes, attributes_of, element_type_of, shape_of
from terrace.dialects.graph_base import image_axes, image_shape
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.conversion.graph_to_linalg.contraction import multiply_add
from terrace.lowering.conversion.graph_to_linalg.reference import reference_of
from terrace.lowering.graph.payload_types import compute_type
from terrace.mlir import arith, ir, linalg, tensor
from terrace.rewriting import Pattern

Pair = list[int]


def window_reach(kernel: b.Size, dilation: int) -> b.Size:
    """How many elements a window spans, first to last."""
    return b.add(b.mul(b.sub(kernel, 1), dilation), 1)


def window_count(size: b.Size, kernel: b.Size, stride: int, dilation: int) -> b.Size:
    """How many windows of `kernel` elements fit along a dimension of `size`, padding included."""
    return b.add(b.floordiv(b.sub(size, window_reach(kernel, dilation)), stride), 1)


@dataclasses.dataclass(frozen=True)
class Convolution:
    """What describes a convolution besides its operands."""

    strides: Pair
    dilations: Pair
    groups: int
    layout: str


def convolve(image: ir.Value, weight: ir.Value, how: Convolution, element_type: ir.Type) -> ir.Value:
    """The convolution of a padded `image` with `weight` [out, in / groups, kh, kw], summed in `element_type`."""
    _, h, w = image_axes(how.layout)
    sizes, kernel = b.sizes_of(image), b.sizes_of(weight)
    height = window_count(sizes[h], kernel[2], how.strides[0], how.dilations[0])
    width = window_count(sizes[w], kernel[3], how.strides[1], how.dilations[1])
    reach = {h: window_reach(kernel[2], how.dilations[0]), w: window_reach(kernel[3], how.dilations[1])}
    image = b.single_windows(image, {h: height, w: width}, reach)
    output = b.filled(image_sizes(how.layout, sizes[0], kernel[0], height, width), element_type, 0)
    attributes = {"strides": how.strides, "dilations": how.dilations}
    is_nchw = how.layout == "NCHW"
    if how.groups == 1:
        if is_nchw:
            return linalg.conv_2d_nchw_fchw(image, weight, outs=[output], **attributes)
        return linalg.conv_2d_nhwc_hwcf(image, b.transpose(weight, [2, 3, 1, 0]), outs=[output], **attributes)
    if shape_of(weight)[0] != how.groups or shape_of(weight)[1] != 1:
        return convolve_groups(image, weight, output, how)
    rows = b.collapse(weight, [[0, 1], [2], [3]])
    if is_nchw:
        return linalg.depthwise_conv_2d_nchw_chw(image, rows, outs=[output], **attributes)
    return linalg.depthwise_conv_2d_nhwc_hwc(image, b.transpose(rows, [1, 2, 0]), outs=[output], **attributes)


def image_sizes(layout: str, batch: b.Size, channels: b.Size, height: b.Size, width: b.Size) -> list[b.Size]:
    """The sizes of an image in the order of `layout`."""
    if layout == "NCHW":
        return [batch, channels, height, width]
    return [batch, height, width, channels]


def split_channels(value: ir.Value, axis: int, groups: int) -> ir.Value:
    """`value` with dimension `axis` cut into [groups, size / groups]."""
    sizes = b.sizes_of(value)
    sizes[axis : axis + 1] = [groups, b.floordiv(sizes[axis], groups)]
    return b.expand(value, b.groups_with(5, axis, 2), sizes)


def convolve_groups(image: ir.Value, weight: ir.Value, output: ir.Value, how: Convolution) -> ir.Value:
    """`convolve` with the channels split in [groups, channels / groups]; adds to `output`."""
    channel = image_axes(how.layout)[0]
    n, g, f, oh, ow, c, kh, kw = b.dims(8)
    row = oh * how.strides[0] + kh * how.dilations[0]
    column = ow * how.strides[1] + kw * how.dilations[1]
    if how.layout == "NCHW":
        image_map, output_map = [n, g, c, row, column], [n, g, f, oh, ow]
    else:
        image_map, output_map = [n, row, column, g, c], [n, oh, ow, g, f]
    result = b.generic(
        [split_channels(image, channel, how.groups), split_channels(weight, 0, how.groups)],
        split_channels(output, channel, how.groups),
        [image_map, [g, f, c, kh, kw], output_map],
        ["parallel"] * 5 + ["reduction"] * 3,
        multiply_add,
    )
    return b.collapse(result, b.groups_with(5, channel, 2))


@reference_of(graph.Conv2dOp)
class ConvertConv2d(Pattern):
    """Pads with zeros and convolves."""

    def rewrite(self, op: ir.OpView) -> bool:
        image, weight = op.operation.operands
        attrs = attributes_of(op)
        element_type = element_type_of(op.operation.results[0])
        top, bottom, left, right = attrs.padding
        padded = b.pad(
            image,
            image_shape(attrs.layout, 0, 0, top, left),
            image_shape(attrs.layout, 0, 0, bottom, right),
            0.0,
        )
        how = Convolution(attrs.strides, attrs.dilations, attrs.groups, attrs.layout)
        result = convolve(padded, weight, how, compute_type(element_type))
        return b.finish(op, b.convert_elements(result, element_type))


def flip_weight(weight: ir.Value, groups: int) -> ir.Value:
    """[in, out / groups, kh, kw] as the weight of the convolution that transposes: [out, in / groups, kh, kw], flipped.

    Indexed by hand: the map `size - 1 - d` is none that linalg can invert.
    """
    inputs, outputs, height, width = b.sizes_of(weight)
    per_group = b.floordiv(inputs, groups)
    sizes = [groups, outputs, per_group, height, width]

    def body() -> ir.Value:
        g, f, c, kh, kw = (linalg.IndexOp(i).result for i in range(5))
        channel = arith.addi(arith.muli(g, b.index_value(per_group)), c)
        row = arith.subi(b.index_value(b.sub(height, 1)), kh)
        column = arith.subi(b.index_value(b.sub(width, 1)), kw)
        return tensor.extract(weight, [channel, f, row, column])

    flipped = b.elementwise([], [], sizes, element_type_of(weight), body)
    return b.collapse(flipped, b.groups_with(5, 0, 2))


def spread(image: ir.Value, kernel: list[b.Size], attrs: Attributes) -> ir.Value:
    """`image` with strides - 1 zeros between its elements, bordered so that a plain convolution gives the result.

    The border is dilation * (kernel - 1) - padding wide; where that is negative, the image is cut instead.
    """
    spatial = image_axes(attrs.layout)[1:]
    sizes = b.sizes_of(image)
    full, wanted = list(sizes), list(sizes)
    offsets: list[b.Size] = [0] * 4
    cut: list[b.Size] = [0] * 4
    steps = [1] * 4
    for i, axis in enumerate(spatial):
        reach = b.mul(b.sub(kernel[i], 1), attrs.dilations[i])
        border = b.sub(reach, attrs.padding[i])
        length = b.add(b.mul(b.sub(sizes[axis], 1), attrs.strides[i]), 1)
        wanted[axis] = b.add(b.add(length, b.mul(border, 2)), attrs.output_padding[i])
        steps[axis] = attrs.strides[i]
        offsets[axis] = b.maximum(border, 0)
        cut[axis] = b.maximum(b.sub(0, border), 0)
        full[axis] = b.add(b.add(length, b.mul(offsets[axis], 2)), attrs.output_padding[i])
    spread_image = b.insert_slice(image, b.filled(full, element_type_of(image), 0), offsets, steps)
    if all(size == 0 for size in cut):
        return spread_image
    return b.extract_slice(spread_image, cut, wanted, [1] * 4)


@reference_of(graph.ConvTranspose2dOp)
class ConvertConvTranspose2d(Pattern):
    """A convolution by the flipped weight over the image with zeros between its elements."""

    def rewrite(self, op: ir.OpView) -> bool:
        image, weight = op.operation.operands
        attrs = attributes_of(op)
        element_type = element_type_of(image)
        kernel = b.sizes_of(weight)[2:]
        how = Convolution([1, 1], attrs.dilations, attrs.groups, attrs.layout)
        bordered = spread(image, kernel, attrs)
        result = convolve(bordered, flip_weight(weight, attrs.groups), how, compute_type(element_type))
        return b.finish(op, b.convert_elements(result, element_type))
