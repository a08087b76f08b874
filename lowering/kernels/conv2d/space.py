"""The iteration space of a convolution: a pure function of shapes and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrace.dialects.base import Attributes
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, along

DIMS = ("n", "g", "oh", "ow", "oc", "kh", "kw", "ic")


def conv2d_space(attrs: Attributes, weight: Sequence[int], result: Sequence[int]) -> IterationSpace:
    """The space of `graph.conv2d` in NHWC with weights [out, in / groups, kh, kw] and a result of this shape."""
    out, depth, kh, kw = weight
    n, oh, ow, _ = result
    width = out // attrs.groups
    sizes = (n, attrs.groups, oh, ow, width, kh, kw, depth)
    (top, bottom, left, right), (dy, dx), (sy, sx) = attrs.padding, attrs.dilations, attrs.strides
    image, channel = Axis({"n": 1}), Axis({"g": width, "oc": 1})
    rows, columns = Axis({"oh": sy, "kh": dy}, top, bottom), Axis({"ow": sx, "kw": dx}, left, right)
    accesses = (
        (image, rows, columns, Axis({"g": depth, "ic": 1})),
        (channel, *along("ic", "kh", "kw")),
        (image, *along("oh", "ow"), channel),
    )
    return IterationSpace(DIMS, ("parallel",) * 5 + ("reduction",) * 3, sizes, accesses)


def is_depthwise(size: Mapping[str, int]) -> bool:
    """Whether each channel of a space of these sizes is convolved by itself."""
    return size["oc"] == 1 and size["ic"] == 1 and size["g"] > 1
