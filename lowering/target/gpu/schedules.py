"""The schedules of kernels on a GPU: pure functions of sizes and of the GPU's description.

A tile is spread over the invocations of a workgroup, so it is larger than on a CPU: so many elements per invocation
that a contraction reads little per multiply-add. Blocks are one tile; the GPU wants many workgroups. Loops along a
reduction are left to drivers to unroll: what is unrolled here they compile for twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from terrace.lowering.kernels.conv2d.schedule import ASSUMED_SIZE as ASSUMED_IMAGE
from terrace.lowering.kernels.conv2d.schedule import WEIGHT_PERMUTATION, ConvShape
from terrace.lowering.kernels.schedule import IterationSpace, Layout, Padding, Schedule
from terrace.lowering.kernels.work_division import sum_block
from terrace.mlir import DYNAMIC
from terrace.target import GpuDescription

ASSUMED_SIZE = 128
"""What an unknown (`?`) size is taken for."""

ACCUMULATORS = 16
"""Elements of an accumulator tile per invocation: 4 rows by 4 columns cost 8 loads for 16 multiply-adds."""

ELEMENTS = 4
"""Elements of other tiles per invocation."""

DEPTH = 16
"""The block of k that a matmul keeps in local memory."""

MAX_WORKGROUPS = 65535
"""Vulkan's guaranteed number of workgroups along a dimension."""

MAX_PARALLEL = 3

DYNAMIC_TILES = 16
"""Tiles of a workgroup along a `?`: a million rows are no more workgroups than there may be."""


def _power(size: int) -> int:
    """The least power of two of `size` or more."""
    return 1 << max(size - 1, 0).bit_length()


def _known(space: IterationSpace, assumed: int) -> dict[str, int]:
    return {n: assumed if s == DYNAMIC else s for n, s in zip(space.names, space.sizes, strict=True)}


def global_loads_per_output(schedule: Schedule, k: int) -> float:
    """What a matmul reads of global memory per element of its result: each block of lhs and rhs once, for a tile."""
    return k / schedule.tile("n") + k / schedule.tile("m")


ROW_LOADS = {"graph.layer_norm": 5, "graph.rms_norm": 3, "graph.softmax": 3}
"""What a row reduction reads of global memory per element of its result: a pass for each statistic and one for the
result, where a norm also reads its weights."""


def schedule_matmul(
    space: IterationSpace, transpose_rhs: bool, constant: Sequence[bool], gpu: GpuDescription
) -> Schedule:
    """A tile of the result per workgroup; blocks of both operands along k pass through local memory."""
    size = _known(space, ASSUMED_SIZE)
    area = ACCUMULATORS * gpu.workgroup_size
    rows = min(_power(size["m"]), 1 << (area.bit_length() - 1) // 2)
    # Of a few rows a tile is narrow: the weights are what is read, by as many workgroups as there can be.
    columns = min(_power(size["n"]), area // rows, gpu.workgroup_size)
    depth = DEPTH
    while depth > 1 and 4 * depth * (rows + columns) > gpu.local_bytes:
        depth //= 2
    blocks = {"m": rows, "n": columns, "k": depth, **({"b": _block(1, space.size("b"))} if "b" in size else {})}
    layouts: list[Layout | Padding | None] = [None] * len(constant)
    if constant[1] and "b" not in size and DYNAMIC not in (space.size("n"), space.size("k")):
        n_axis = 0 if transpose_rhs else 1
        layouts[1] = Layout((n_axis, 1 - n_axis), (n_axis,), (columns,))
    parallel = tuple(name for name in ("b", "m", "n") if name in blocks)
    tiles = {"m": rows, "n": columns, "k": 1}
    return Schedule(tiles, blocks, parallel, tuple(layouts), ("lhs", "rhs"), ("n", "m"))


def schedule_conv2d(
    space: IterationSpace, attrs: Any, image: Sequence[int], arguments: int, constant: bool, gpu: GpuDescription
) -> Schedule:
    """A tile of pixels and channels per workgroup; padding is made in local memory if the rows fit, else beforehand."""
    size = _known(space, ASSUMED_IMAGE)
    shape = ConvShape(size, attrs, image[3])
    channel = "g" if shape.depthwise else "oc"
    area = (ELEMENTS if shape.depthwise else ACCUMULATORS) * gpu.workgroup_size
    channels = min(_power(size[channel]), gpu.workgroup_size)
    columns = min(_power(size["ow"]), area // channels, 16)
    tiles = {"ow": columns, channel: channels, "kw": size["kw"] if shape.depthwise else 1}
    if not shape.depthwise:
        tiles |= {"oh": min(_power(size["oh"]), max(1, area // (channels * columns)), 4), "ic": 1}
    stages = any(attrs.padding) and DYNAMIC not in image[1:]
    while stages and tiles.get("oh", 1) > 1 and shape.staged_bytes(tiles["oh"]) > gpu.local_bytes:
        tiles["oh"] //= 2
    stages = stages and shape.staged_bytes(tiles.get("oh", 1)) <= gpu.local_bytes
    layouts: list[Layout | Padding | None] = [None] * arguments
    if any(attrs.padding) and not stages:
        top, bottom, left, right = attrs.padding
        layouts[0] = Padding((0, top, left, 0), (0, bottom, right, 0))
    if constant:
        grouped = size["g"] > 1 and not shape.depthwise
        layouts[1] = Layout(WEIGHT_PERMUTATION, (0,), (size["oc"] if grouped else channels,))
    blocks = {"n": 1, "oh": tiles.get("oh", 1), channel: channels}
    staged = ("input",) if stages else ()
    return Schedule(tiles, blocks, ("n", "oh", channel), tuple(layouts), staged, ("g", "oc", "oh", "ow"))


def schedule_elementwise(space: IterationSpace, arguments: int, gpu: GpuDescription) -> Schedule:
    """Tiles of a few elements per invocation, from the last dimension outwards; a workgroup per tile."""
    room = ELEMENTS * gpu.workgroup_size
    tiles: dict[str, int] = {}
    blocks: dict[str, int] = {}
    for name, size in reversed(list(zip(space.names, space.sizes, strict=True))):
        tile = min(size if size != DYNAMIC else gpu.workgroup_size, room)
        tiles[name] = max(tile, 1)
        room = max(1, room // tiles[name])
        if (size == DYNAMIC or size > tile) and len(blocks) < MAX_PARALLEL:
            blocks[name] = _block(tiles[name], size)
    return Schedule(tiles, blocks, tuple(n for n in space.names if n in blocks), (None,) * arguments)


def schedule_row_reduction(space: IterationSpace, arguments: int, gpu: GpuDescription) -> Schedule:
    """A workgroup per row, whose elements its invocations share."""
    rows, columns = space.sizes
    limit = ELEMENTS * gpu.workgroup_size
    tile = gpu.workgroup_size if columns == DYNAMIC else max(1, min(columns, limit))
    blocks = {"m": _block(1, rows), "n": sum_block(columns, tile)}
    return Schedule({"n": tile}, blocks, ("m",), (None,) * arguments)


def _block(tile: int, size: int) -> int:
    """The least multiple of the tile that keeps to the number of workgroups there may be; a few if nobody knows."""
    if size == DYNAMIC:
        return tile * DYNAMIC_TILES
    return tile * max(1, -(-size // tile // MAX_WORKGROUPS))
