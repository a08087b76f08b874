"""The schedule of conv2d kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from terrace.lowering.kernels.register_tile import RegisterTile, best_tile, cover_cycles
from terrace.lowering.kernels.schedule import IterationSpace, Layout, Padding, Schedule
from terrace.lowering.kernels.work_division import block_size, wanted_workgroups
from terrace.mlir import DYNAMIC
from terrace.target import CpuDescription

WEIGHT_PERMUTATION = (0, 2, 3, 1)
ASSUMED_SIZE = 32
"""What an unknown (`?`) size is taken for when tiles and blocks are chosen."""


@dataclasses.dataclass(frozen=True)
class ConvShape:
    """Sizes by name (unknown ones assumed), the conv's attributes, and the input's channels."""

    size: dict[str, int]
    attrs: Any
    channels: int

    @property
    def depthwise(self) -> bool:
        return self.size["oc"] == 1 and self.size["ic"] == 1 and self.size["g"] > 1

    def staged_bytes(self, rows: int) -> int:
        """Local memory that `rows` output rows need of the padded input, in bytes (32-bit elements)."""
        span = (rows - 1) * self.attrs.strides[0] + (self.size["kh"] - 1) * self.attrs.dilations[0] + 1
        wide = (self.size["ow"] - 1) * self.attrs.strides[1] + (self.size["kw"] - 1) * self.attrs.dilations[1] + 1
        return 4 * span * wide * self.channels


def schedule_conv2d(
    space: IterationSpace, attrs: Any, image: Sequence[int], arguments: int, constant: bool, cpu: CpuDescription
) -> Schedule:
    """Choose tile, blocks, staging and the weights' layout. `image` is the input's shape, NHWC."""
    size = {n: ASSUMED_SIZE if s == DYNAMIC else s for n, s in zip(space.names, space.sizes, strict=True)}
    shape = ConvShape(size, attrs, image[3])
    tiles = _depthwise_tiles(shape, cpu) if shape.depthwise else _tiles(shape, cpu)
    static = DYNAMIC not in image[1:]
    stages = any(attrs.padding) and static and shape.staged_bytes(tiles.get("oh", 1)) <= cpu.local_bytes
    blocks = _blocks(shape, tiles, stages, cpu)
    channel = "g" if shape.depthwise else "oc"
    layouts: list[Layout | Padding | None] = [None] * arguments
    if any(attrs.padding) and not stages:
        top, bottom, left, right = attrs.padding
        layouts[0] = Padding((0, top, left, 0), (0, bottom, right, 0))
    if constant:
        grouped = size["g"] > 1 and not shape.depthwise
        layouts[1] = Layout(WEIGHT_PERMUTATION, (0,), (size["oc"] if grouped else tiles[channel],))
    order = ("oh", "g", "ow") if shape.depthwise else ("g", "oc", "oh", "ow")
    parallel = tuple(name for name in ("n", "oh", channel) if blocks.get(name))
    return Schedule(tiles, blocks, parallel, tuple(layouts), ("input",) if stages else (), order)


def _tiles(shape: ConvShape, cpu: CpuDescription) -> dict[str, int]:
    """Pixels along a row by channels; where rows are short, pixels of two rows."""
    size = shape.size
    best: tuple[float, dict[str, int]] | None = None
    for rows in (1, 2) if size["ow"] <= 8 and size["oh"] > 1 else (1,):
        tile = best_tile(size["ow"], size["oc"], range(1, 1 + 14 // rows), cpu, stacked=rows)
        tall = RegisterTile(rows * tile.rows, tile.columns)
        cycles = cover_cycles(size["ow"] * rows, size["oc"], tall, cpu) / rows
        choice = {"oh": rows, "ow": tile.rows, "oc": tile.columns, "kw": 1, "ic": 1}
        if best is None or cycles < best[0]:
            best = (cycles, choice)
    assert best is not None
    return best[1]


def _depthwise_tiles(shape: ConvShape, cpu: CpuDescription) -> dict[str, int]:
    """As many pixels of one vector of channels as registers hold: weights and pixels are loaded, none is broadcast."""
    limit = 14 if cpu.vector_registers >= 32 else 6
    columns = shape.size["ow"]
    width = min(range(1, limit + 1), key=lambda w: (-(-columns // w), w))
    return {"ow": width, "g": cpu.lanes, "kw": shape.size["kw"]}


def _blocks(shape: ConvShape, tiles: dict[str, int], staged: bool, cpu: CpuDescription) -> dict[str, int]:
    """Rows and channels of a workgroup: enough workgroups for the workers, few enough rows for local memory."""
    size = shape.size
    macs = 1
    for value in size.values():
        macs *= value
    parts = -(-wanted_workgroups(macs, cpu.workers) // size["n"])
    tile_rows = tiles.get("oh", 1)
    weights = 4 * size["oc"] * size["g"] * size["ic"] * size["kh"] * size["kw"]
    blocks = {"n": 1}
    rows = size["oh"]
    if weights > cpu.l2_bytes // 2 and size["g"] == 1:
        # Weights exceed the cache: each workgroup reads its own part of them, once.
        blocks["oc"] = block_size(size["oc"], tiles["oc"], parts)
    else:
        rows = block_size(size["oh"], tile_rows, parts) or size["oh"]
    while staged and rows > tile_rows and shape.staged_bytes(rows) > cpu.local_bytes:
        rows = max(tile_rows, rows // 2 // tile_rows * tile_rows)
    if rows < size["oh"]:
        blocks["oh"] = -(-rows // tile_rows) * tile_rows
    return {name: block for name, block in blocks.items() if block}
