"""The cost model of Winograd's variants, beside that of the direct one. Pure functions of sizes and hardware.

Predicted are the cycles until the last worker is done: the multiply-adds of the products, or the bytes that they read
from beyond the second cache if these take longer, and the transforms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.conv2d.schedule import ASSUMED_SIZE
from terrace.lowering.kernels.conv2d.winograd_shape import SPARE, STRIP, VARIANTS, refusal
from terrace.lowering.kernels.packing import Transform
from terrace.lowering.kernels.register_tile import RegisterTile, cover_cycles, cuts, fits_registers, vectors
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.toom_cook import TAPS
from terrace.lowering.kernels.view import KernelView
from terrace.lowering.kernels.work_division import block_size
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC

FIRST_BYTES = 9.0
"""Bytes a cycle of weights that nobody read before in a call: from memory. 36 GB/s on a Zen 5 at 4 GHz, where they are
asked for before they are read (this number and those of other cycles fit 39 times of 13 layers within 5 %)."""

AGAIN_BYTES = 24.0
"""Bytes a cycle of what was read before, and has left the second cache."""

NEAR_BYTES = 48.0
"""Bytes a cycle from the second cache."""

TRANSFORM_CYCLES = 4.5
"""Cycles for each input of a transform along an axis, of a vector of channels: loads, sums and stores."""

STORE_CYCLES = 1.5
"""Cycles for each vector of a product's register tile: it is cleared before, and stored."""

ALONE = 0.2
"""The part of the shorter one of computing and moving that nothing overlaps with."""

PRODUCTS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Products, each of as many tiles as registers hold sums of, that a block may have."""

PARTS = 16
"""Even parts that an image may be cut into, at most."""

PRODUCT_ROWS = 14
"""Tiles that are multiplied at a time, at most."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """A convolution: images, results (height, width, channels), input channels, elements of a window; bytes of an
    element that is computed with, and of one that is stored.
    """

    images: int
    height: int
    width: int
    channels: int
    depth: int
    taps: int
    bytes: int
    stored_bytes: int

    @staticmethod
    def of(kernel: KernelView) -> Sizes:
        size, type_ = kernel.space.expected(ASSUMED_SIZE), kernel.operand_types[0]
        sizes = (size["n"], size["oh"], size["ow"], size["oc"], size["ic"], size["kh"] * size["kw"])
        return Sizes(*sizes, type_.held.bytes, type_.bytes)


@dataclasses.dataclass(frozen=True)
class Cutting:
    """Tiles of `outputs` x `outputs` results: so many a block, of which `product` are multiplied at a time by a panel
    of channels; `channels` are those that a workgroup computes."""

    outputs: int
    tiles: int
    product: int
    panel: int
    channels: int

    @property
    def planes(self) -> int:
        return (self.outputs + TAPS - 1) ** 2


def direct_cycles(sizes: Sizes, schedule: Schedule, machine: VectorMachine) -> float:
    """The cycles of a convolution as the direct schedule cuts it."""
    tall = schedule.tile("oh")
    tile = RegisterTile(tall * schedule.tile("ow"), schedule.tile("oc"))
    step = cover_cycles(sizes.width * tall, sizes.channels, tile, machine) * -(-sizes.height // tall)
    steps = sizes.taps * sizes.depth
    moved = sizes.stored_bytes * steps * sizes.channels / FIRST_BYTES
    computed = sizes.images * step * steps / machine.speed_of(schedule.atom)
    return _both(computed / machine.workers, moved / machine.workers)


def cycles(sizes: Sizes, cut: Cutting, machine: VectorMachine) -> float:
    """The cycles of a convolution cut so."""
    parts = cuts(_tiles(sizes, cut.outputs), cut.tiles)
    blocks = sizes.images * sum(n for n, _ in parts)
    turns = -(-blocks * -(-sizes.channels // cut.channels) // machine.workers)
    found = [(n, _block_cycles(sizes, dataclasses.replace(cut, tiles=tiles), machine, blocks)) for n, tiles in parts]
    whole = max((one for _, one in found), default=0.0)
    return sizes.images * sum(n * one for n, one in found) if machine.workers == 1 else turns * whole


def _tiles(sizes: Sizes, outputs: int) -> int:
    """The tiles of an image."""
    return -(-sizes.height // outputs) * -(-sizes.width // outputs)


def _block_cycles(sizes: Sizes, cut: Cutting, machine: VectorMachine, blocks: int) -> float:
    """Those of one of so many blocks.

    Transformed inputs that exceed the second cache are read again for each panel, a row here and there: computing does
    not hide that.
    """
    plane = sizes.bytes * cut.planes * sizes.depth
    weights, inputs = plane * cut.channels, plane * cut.tiles
    again = AGAIN_BYTES if weights + inputs > machine.l2_bytes else NEAR_BYTES
    streamed = weights * (1 / FIRST_BYTES + (blocks - 1) / again) / blocks
    panels = -(-cut.channels // cut.panel) if inputs > machine.l2_bytes * 3 // 4 else 0
    products = _both(_product_cycles(sizes, cut, machine), streamed)
    return products + panels * inputs / AGAIN_BYTES + _transform_cycles(sizes, cut, machine)


def _both(computing: float, moving: float) -> float:
    """The cycles of what is computed while something else is moved."""
    return max(computing, moving) + ALONE * min(computing, moving)


def _product_cycles(sizes: Sizes, cut: Cutting, machine: VectorMachine) -> float:
    height = -(-cut.tiles // -(-cut.tiles // cut.product))
    step = cover_cycles(cut.tiles, cut.channels, RegisterTile(height, cut.panel), machine)
    stored = cut.tiles * vectors(cut.channels, machine) * STORE_CYCLES
    return cut.planes * (sizes.depth * step + stored)


def _transform_cycles(sizes: Sizes, cut: Cutting, machine: VectorMachine) -> float:
    points = cut.outputs + TAPS - 1
    strips = -(-cut.tiles // min(-(-sizes.width // cut.outputs), STRIP))
    shared = cut.outputs * cut.tiles + strips * (points - cut.outputs)
    read = (shared + points * cut.tiles) * vectors(sizes.depth, machine)
    written = cut.tiles * (points + cut.outputs) * vectors(cut.channels, machine)
    return TRANSFORM_CYCLES * points * (read + written)


def local_bytes(sizes: Sizes, cut: Cutting, known: bool, lanes: int) -> int:
    """The local memory that the loops of a kernel take: with room for a product beyond the tiles of an image of any
    size, whose number is not `known`."""
    tiles, points = cut.tiles + (1 if known else cut.product), cut.outputs + TAPS - 1
    planes = cut.planes * tiles * (sizes.depth + SPARE + cut.panel)
    strip = points * (min(cut.tiles, STRIP) * cut.outputs + points) * lanes
    return sizes.bytes * (planes + strip + 6 * lanes)


def _cuttings(sizes: Sizes, outputs: int, known: bool, machine: VectorMachine) -> Iterator[Cutting]:
    tiles, most = _tiles(sizes, outputs), vectors(sizes.channels, machine)
    for panel in [n * machine.lanes for n in (2, 3, 4) if n <= most] or [machine.lanes]:
        heights = [n for n in range(1, PRODUCT_ROWS + 1) if fits_registers(RegisterTile(n, panel), machine)]
        for block, product in _blocks(tiles, max(heights, default=1), known):
            cut = Cutting(outputs, block, product, panel, sizes.channels)
            if local_bytes(sizes, cut, known, machine.lanes) > machine.local_bytes:
                continue
            yield cut
            # Where a few blocks are all, workers share their channels; each transforms the inputs for itself.
            parts, limit = 2, min(machine.workers, -(-sizes.channels // panel))
            while parts <= limit and sizes.images * -(-tiles // block) < machine.workers:
                yield dataclasses.replace(cut, channels=block_size(sizes.channels, panel, parts))
                parts *= 2


def _blocks(tiles: int, most: int, known: bool) -> list[tuple[int, int]]:
    """Blocks of an image's tiles, and of how many its products are; at most `most`. A block has whole products.

    Unless the size of an image is known, products are cut evenly at run time.
    """
    if not known:
        return [(most * n, most) for n in PRODUCTS if most * (n - 1) < tiles]
    wanted = {-(-tiles // parts) for parts in range(1, PARTS + 1)} | {min(most * n, tiles) for n in PRODUCTS}
    products = {block: -(-block // most) for block in wanted}
    return sorted({(-(-block // n) * n, -(-block // n)) for block, n in products.items()})


def schedule_of(sizes: Sizes, cut: Cutting, whole: bool, machine: VectorMachine) -> Schedule:
    """The schedule that cuts so; `whole` says that a block is never less than an image."""
    m = cut.outputs
    blocks = {"n": 1}
    if not whole:
        blocks["ow"] = cut.tiles * m
    if cut.channels < sizes.channels:
        blocks["oc"] = cut.channels
    tile = {"oc": cut.panel, "oh": m, "ow": cut.product * m, "ic": 1}
    packed = {"weight": Transform((m, m), (cut.panel,))}
    name = next(name for name, outputs in VARIANTS.items() if outputs == m)
    return Schedule.of(tile, {**blocks, "ic": machine.lanes}, tuple(blocks), packed, staged=("input",), variant=name)


def ranked_schedules(kernel: KernelView, machine: VectorMachine) -> dict[str, list[tuple[float, Schedule]]]:
    """The schedules of each of Winograd's variants that the kernel may have, and their cycles, the best first."""
    sizes = Sizes.of(kernel)
    root = kernel.root
    reason = refusal(kernel.space, attributes_of(root), shape_of(root.operands[0]), kernel.operand_types[0])
    known, found = DYNAMIC not in (kernel.space.size("oh"), kernel.space.size("ow")), {}
    if reason is None and kernel.constant[1]:
        for name, outputs in VARIANTS.items():
            cuttings = list(_cuttings(sizes, outputs, known, machine))
            ranked = sorted(((cycles(sizes, cut, machine), cut) for cut in cuttings), key=lambda pair: pair[0])
            tiles = _tiles(sizes, outputs)
            found[name] = [
                (predicted, schedule_of(sizes, cut, known and cut.tiles >= tiles, machine)) for predicted, cut in ranked
            ]
    return found
