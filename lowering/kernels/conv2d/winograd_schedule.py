"""The cost model of Winograd's variants, beside that of the direct one. Pure functions of sizes and hardware.

Predicted are the cycles until the last worker is done: the multiply-adds of the products, or the bytes that they read
from beyond the second cache if these take longer, and the transforms.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.conv2d.schedule import ASSUMED_SIZE
from terrace.lowering.kernels.conv2d.winograd_shape import SPARE, VARIANTS, refusal
from terrace.lowering.kernels.packing import Transform
from terrace.lowering.kernels.register_tile import RegisterTile, cover_cycles, cuts, fits_registers, vectors
from terrace.lowering.kernels.schedule import DIRECT, Schedule
from terrace.lowering.kernels.toom_cook import TAPS
from terrace.lowering.kernels.view import KernelView
from terrace.lowering.kernels.work_division import block_size
from terrace.machine import VectorMachine

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

MARGIN = 0.9
"""A variant is chosen where it takes less than this part of the direct one's cycles: it rounds more."""

HEIGHTS = (1, 2, 3, 4, 8, 16)
"""Rows of tiles that a block may have."""

WIDTHS = (1, 2, 4, 8)
"""Parts that a row of tiles may be cut into."""

PRODUCT_ROWS = 14
"""Tiles that are multiplied at a time, at most."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """A convolution: images, results (height, width, channels), input channels; bytes of an element that is computed
    with, and of one that is stored.
    """

    images: int
    height: int
    width: int
    channels: int
    depth: int
    bytes: int
    stored_bytes: int

    @staticmethod
    def of(kernel: KernelView) -> Sizes:
        size, type_ = kernel.space.known(ASSUMED_SIZE), kernel.operand_types[0]
        return Sizes(size["n"], size["oh"], size["ow"], size["oc"], size["ic"], type_.held.bytes, type_.bytes)


@dataclasses.dataclass(frozen=True)
class Cutting:
    """Tiles of `outputs` x `outputs` results: so many rows and columns of them a block, of which `product` are
    multiplied at a time by a panel of channels; `channels` are those that a workgroup computes."""

    outputs: int
    rows: int
    columns: int
    product: tuple[int, int]
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
    steps = TAPS**2 * sizes.depth
    moved = sizes.stored_bytes * steps * sizes.channels / FIRST_BYTES
    computed = sizes.images * step * steps / machine.speed_of(schedule.atom)
    return _both(computed / machine.workers, moved / machine.workers)


def cycles(sizes: Sizes, cut: Cutting, machine: VectorMachine) -> float:
    """The cycles of a convolution cut so."""
    heights, widths = (
        cuts(-(-size // cut.outputs), block) for size, block in ((sizes.height, cut.rows), (sizes.width, cut.columns))
    )
    blocks = sizes.images * sum(n for n, _ in heights) * sum(n for n, _ in widths)
    turns = -(-blocks * -(-sizes.channels // cut.channels) // machine.workers)
    found = [
        (n * m, _block_cycles(sizes, dataclasses.replace(cut, rows=height, columns=width), machine, blocks))
        for n, height in heights
        for m, width in widths
    ]
    whole = max(one for _, one in found)
    return sizes.images * sum(n * one for n, one in found) if machine.workers == 1 else turns * whole


def _block_cycles(sizes: Sizes, cut: Cutting, machine: VectorMachine, blocks: int) -> float:
    """Those of one of so many blocks.

    Transformed inputs that exceed the second cache are read again for each panel, a row here and there: computing does
    not hide that.
    """
    plane = sizes.bytes * cut.planes * sizes.depth
    weights, inputs = plane * cut.channels, plane * cut.rows * cut.columns
    again = AGAIN_BYTES if weights + inputs > machine.l2_bytes else NEAR_BYTES
    streamed = weights * (1 / FIRST_BYTES + (blocks - 1) / again) / blocks
    panels = -(-cut.channels // cut.panel) if inputs > machine.l2_bytes * 3 // 4 else 0
    products = _both(_product_cycles(sizes, cut, machine), streamed)
    return products + panels * inputs / AGAIN_BYTES + _transform_cycles(sizes, cut, machine)


def _both(computing: float, moving: float) -> float:
    """The cycles of what is computed while something else is moved."""
    return max(computing, moving) + ALONE * min(computing, moving)


def _product_cycles(sizes: Sizes, cut: Cutting, machine: VectorMachine) -> float:
    tiles = cut.rows * cut.columns
    height = -(-tiles // -(-tiles // (cut.product[0] * cut.product[1])))
    step = cover_cycles(tiles, cut.channels, RegisterTile(height, cut.panel), machine)
    stored = tiles * vectors(cut.channels, machine) * STORE_CYCLES
    return cut.planes * (sizes.depth * step + stored)


def _transform_cycles(sizes: Sizes, cut: Cutting, machine: VectorMachine) -> float:
    points = cut.outputs + TAPS - 1
    shared = cut.outputs * cut.columns + points - cut.outputs
    read = cut.rows * (shared + points * cut.columns) * vectors(sizes.depth, machine)
    written = cut.rows * cut.columns * (points + cut.outputs) * vectors(cut.channels, machine)
    return TRANSFORM_CYCLES * points * (read + written)


def local_bytes(sizes: Sizes, cut: Cutting, lanes: int) -> int:
    """The local memory that the loops of a kernel take."""
    rows, columns = (
        min(-(-size // cut.outputs), block) for size, block in ((sizes.height, cut.rows), (sizes.width, cut.columns))
    )
    tiles, points = rows * columns + 1, cut.outputs + TAPS - 1
    planes = cut.planes * tiles * (sizes.depth + SPARE + cut.panel)
    strip = points * (columns * cut.outputs + points) * lanes
    return sizes.bytes * (planes + strip + 6 * lanes)


def _cuttings(sizes: Sizes, outputs: int, machine: VectorMachine) -> Iterator[Cutting]:
    rows, columns = (-(-size // outputs) for size in (sizes.height, sizes.width))
    most = vectors(sizes.channels, machine)
    panels = [n * machine.lanes for n in (2, 3, 4) if n <= most] or [machine.lanes]
    heights = sorted({min(height, -(-rows // 2) * 2) for height in HEIGHTS})
    for height, width in itertools.product(heights, sorted({-(-columns // parts) for parts in WIDTHS})):
        for panel in panels:
            product = _product((height, rows), (width, columns), panel, machine)
            cut = Cutting(outputs, height, width, product, panel, sizes.channels)
            if local_bytes(sizes, cut, machine.lanes) > machine.local_bytes:
                continue
            yield cut
            # Where a few blocks are all, workers share their channels; each transforms the inputs for itself.
            parts, limit = 2, min(machine.workers, -(-sizes.channels // panel))
            while parts <= limit and sizes.images * -(-rows // height) < machine.workers and width == columns:
                yield dataclasses.replace(cut, channels=block_size(sizes.channels, panel, parts))
                parts *= 2


def _product(height: tuple[int, int], width: tuple[int, int], panel: int, machine: VectorMachine) -> tuple[int, int]:
    """The most tiles, as rows and columns, that registers hold sums of. Both are of a block and of all: a block that is
    cut must be a multiple.
    """
    limit = max((n for n in range(1, PRODUCT_ROWS + 1) if fits_registers(RegisterTile(n, panel), machine)), default=1)
    rows, columns = (
        [n for n in range(1, min(block, limit) + 1) if block >= whole or block % n == 0]
        for block, whole in (height, width)
    )
    return max(((r, c) for r in rows for c in columns if r * c <= limit), key=lambda tile: (tile[0] * tile[1], tile[1]))


def schedule_of(sizes: Sizes, cut: Cutting, machine: VectorMachine) -> Schedule:
    """The schedule that cuts so."""
    m = cut.outputs
    rows, columns = (-(-size // m) for size in (sizes.height, sizes.width))
    blocks = {"n": 1}
    if cut.rows < rows:
        blocks["oh"] = cut.rows * m
    if cut.columns < columns:
        blocks["ow"] = cut.columns * m
    if cut.channels < sizes.channels:
        blocks["oc"] = cut.channels
    tile = {"oc": cut.panel, "oh": cut.product[0] * m, "ow": cut.product[1] * m, "ic": 1}
    packed = {"weight": Transform((m, m), (cut.panel,))}
    name = next(name for name, outputs in VARIANTS.items() if outputs == m)
    return Schedule.of(tile, {**blocks, "ic": machine.lanes}, tuple(blocks), packed, staged=("input",), variant=name)


def ranked_schedules(kernel: KernelView, machine: VectorMachine) -> dict[str, list[tuple[float, Schedule]]]:
    """The schedules of each of Winograd's variants that the kernel may have, and their cycles, the best first."""
    sizes = Sizes.of(kernel)
    root = kernel.root
    reason = refusal(kernel.space, attributes_of(root), shape_of(root.operands[0]), kernel.operand_types[0])
    found = {}
    if reason is None and kernel.constant[1]:
        for name, outputs in VARIANTS.items():
            cuttings = list(_cuttings(sizes, outputs, machine))
            ranked = sorted(((cycles(sizes, cut, machine), cut) for cut in cuttings), key=lambda pair: pair[0])
            found[name] = [(predicted, schedule_of(sizes, cut, machine)) for predicted, cut in ranked]
    return found


def candidates(kernel: KernelView, direct: Schedule, machine: VectorMachine) -> dict[str, tuple[float, Schedule]]:
    """The best schedule of each variant that the kernel may have, and its cycles; none if it has but one."""
    ranked = ranked_schedules(kernel, machine)
    found = {name: schedules[0] for name, schedules in ranked.items() if schedules}
    return {**found, DIRECT: (direct_cycles(Sizes.of(kernel), direct, machine), direct)} if ranked else {}


def best_variant(kernel: KernelView, direct: Schedule, machine: VectorMachine) -> Schedule:
    """The direct schedule, or a variant's that takes clearly fewer cycles."""
    found = candidates(kernel, direct, machine)
    if len(found) < 2:
        return direct
    best, schedule = min(found.values(), key=lambda pair: pair[0])
    return schedule if best < MARGIN * found[DIRECT][0] else direct
