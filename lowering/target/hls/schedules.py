"""The schedules of hardware: small tiles whose elements are registers, weights in place, one workgroup.

A tile's sizes divide what they tile wherever they can: a tail would be a second circuit. Pure functions of sizes.
"""

from __future__ import annotations

from typing import Any

from terrace.lowering.kernels.schedule import IterationSpace, Layout, Padding, Schedule

COLUMNS = 16
"""Accumulators of a contraction: the width that is unrolled, if there are multipliers enough."""

DEPTH = 8
"""Steps of a contraction whose operands are fetched together."""

ROW = 32
"""Elements of a row that are worked on together where they are only passed through."""


def divisor(size: int, limit: int) -> int:
    """The largest divisor of `size` up to `limit`; `limit` itself if that is less than a quarter of it."""
    best = max(d for d in range(1, min(size, limit) + 1) if size % d == 0)
    return best if 4 * best >= min(size, limit) else min(size, limit)


def schedule_pointwise(space: IterationSpace, arguments: int) -> Schedule:
    """Elementwise kernels and copies, and rows of softmax and norms: parts of the last dimension."""
    last = space.names[-1]
    return Schedule({last: divisor(space.size(last), ROW)}, {}, (), (None,) * arguments)


def schedule_matmul(space: IterationSpace, arguments: int) -> Schedule:
    """One row by some columns."""
    tiles = {"m": 1, "n": divisor(space.size("n"), COLUMNS), "k": divisor(space.size("k"), DEPTH)}
    return Schedule(tiles, {}, (), (None,) * arguments, (), ("m", "n"))


def schedule_reduce(space: IterationSpace, is_product: bool, arguments: int) -> Schedule:
    """Parts of the last dimension; a product along it takes one element after another."""
    if is_product and space.kinds[-1] == "reduction":
        return Schedule({}, {}, (), (None,) * arguments)
    return schedule_pointwise(space, arguments)


def schedule_pool2d(space: IterationSpace, arguments: int) -> Schedule:
    """One pixel by some channels."""
    return Schedule({"ow": 1, "c": divisor(space.size("c"), COLUMNS)}, {}, (), (None,) * arguments)


def schedule_conv2d(space: IterationSpace, attrs: Any, channels: int, arguments: int, local_bytes: int) -> Schedule:
    """One pixel by some output channels. Input goes through local memory, which is read in banks and filled in order:
    all of it, or of a padded image as many rows as fit.

    Where not even the rows of one output row fit, the image is padded before, by a kernel of its own.
    """
    size = {name: space.size(name) for name in space.names}
    depthwise = size["oc"] == 1 and size["ic"] == 1 and size["g"] > 1
    tiles = {"ow": 1, "kw": 1}
    if depthwise:
        tiles["g"] = divisor(size["g"], COLUMNS)
    else:
        tiles |= {"oc": divisor(size["oc"], COLUMNS), "ic": divisor(size["ic"], DEPTH)}
    order = ("oh", "ow", "g", "oc")
    rows = _rows_that_fit(size, attrs, channels, local_bytes)
    if not any(attrs.padding):
        staged = ("input",) if rows == size["oh"] else ()
        return Schedule(tiles, {}, (), (None,) * arguments, staged, order)
    if rows < 1:
        top, bottom, left, right = attrs.padding
        layouts: list[Layout | Padding | None] = [None] * arguments
        layouts[0] = Padding((0, top, left, 0), (0, bottom, right, 0))
        return Schedule(tiles, {}, (), tuple(layouts), (), order)
    blocks = {"oh": rows} if rows < size["oh"] else {}
    return Schedule(tiles, blocks, (), (None,) * arguments, ("input",), order)


def _rows_that_fit(size: dict[str, int], attrs: Any, channels: int, local_bytes: int) -> int:
    """Output rows whose input rows fit local memory; less than 1 if those of one row do not."""
    wide = (size["ow"] - 1) * attrs.strides[1] + (size["kw"] - 1) * attrs.dilations[1] + 1
    row_bytes, window = 4 * wide * channels, (size["kh"] - 1) * attrs.dilations[0] + 1
    return min(size["oh"], (local_bytes // row_bytes - window) // attrs.strides[0] + 1)
