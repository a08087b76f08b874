"""The schedule of conv2d kernels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

from terrace.dialects.base import Attributes
from terrace.element_types import ElementType
from terrace.lowering.kernels.circuit_tile import COLUMNS, divisor, divisors, tiles_of_circuit
from terrace.lowering.kernels.conv2d.space import is_depthwise
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.packing import Pack, Packing, PackWithSums, Pad
from terrace.lowering.kernels.register_tile import RegisterTile, best_tile, cover_cycles
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import block_size, multiply_add_cycles, wanted_workgroups
from terrace.lowering.kernels.workgroup_tile import ACCUMULATORS, ELEMENTS, power_of_two
from terrace.machine import Atom, CircuitMachine, VectorMachine, WorkgroupMachine
from terrace.mlir import DYNAMIC

WEIGHT_PERMUTATION = (0, 2, 3, 1)
ASSUMED_SIZE = 32
"""What an unknown (`?`) size is taken for when tiles and blocks are chosen."""

WIDEST_IN_PLACE = 8
"""Columns of a window that may hang over an edge in place: near it, each pixel has code of its own for each column."""


ANY_WIDTH = 6
"""Pixels of a tile where only a call knows the width: what the last tile of a row computes once more grows with it."""


@dataclasses.dataclass(frozen=True)
class ConvShape:
    """A space, its sizes by name (unknown ones assumed), the attributes, the operands' element type, and the step
    that multiplies, where it is no multiply-add.
    """

    space: IterationSpace
    size: dict[str, int]
    attrs: Attributes
    type: ElementType
    atom: Atom | None = None

    @staticmethod
    def of(space: IterationSpace, attrs: Attributes, operand: ElementType) -> ConvShape:
        return ConvShape(space, space.expected(ASSUMED_SIZE), attrs, operand)

    def with_atom(self, machine: VectorMachine) -> ConvShape:
        """By the machine's best step for channels that are packed ahead."""
        types = (self.type.name, self.type.name, self.type.sums_in)
        return self if self.depthwise else dataclasses.replace(self, atom=machine.best_atom(types))

    @property
    def depthwise(self) -> bool:
        return is_depthwise(self.size)

    @property
    def channel(self) -> str:
        """The dimension of the result's channels that tiles cut."""
        return "g" if self.depthwise else "oc"

    def staged_bytes(self, rows: int) -> int:
        """Local memory that `rows` output rows of an image need of the padded input, in bytes."""
        elements = self.space.footprint(0, {**self.size, "n": 1, "oh": rows})
        if self.atom is None:
            return self.type.held.bytes * elements
        channels = self.size["g"] * self.size["ic"]
        return self.type.bytes * elements // channels * (channels + self.missing)

    @property
    def missing(self) -> int:
        """The channels by which an image is less deep than whole steps of an atom; those of groups stay as they are."""
        return -self.size["ic"] % self.atom.depth if self.atom and self.size["g"] == 1 else 0

    @property
    def steps(self) -> int:
        """The channels of as many of an atom's steps as are made without a loop: of two a loop costs as much again."""
        assert self.atom is not None
        whole = self.size["ic"] + self.missing
        return whole if whole == 2 * self.atom.depth else self.atom.depth

    def packed(self, pads: bool, weight_block: int | None) -> dict[str, Packing]:
        """The input padded beforehand unless the kernel `pads` it; weights in blocks of channels."""
        found: dict[str, Packing] = {}
        if any(self.attrs.padding) and not pads:
            top, bottom, left, right = self.attrs.padding
            found["input"] = Pad((0, top, left, 0), (0, bottom, right, 0))
        if weight_block is not None:
            grouped = self.size["g"] > 1 and not self.depthwise
            block = self.size["oc"] if grouped else weight_block
            if self.atom is None:
                found["weight"] = Pack(WEIGHT_PERMUTATION, (0,), (block,))
            else:
                kind = PackWithSums if self.atom.unsigned_lhs else Pack
                found["weight"] = kind(WEIGHT_PERMUTATION, (0, 1), (block, self.atom.depth))
        return found


def schedule_for_vectors(
    space: IterationSpace,
    attrs: Attributes,
    image: Sequence[int],
    constant: Sequence[bool],
    operand: ElementType,
    machine: VectorMachine,
    tiles: dict[str, int] | None = None,
    stages: bool = True,
) -> Schedule:
    """Choose tile, blocks, staging and the weights' layout. `image` is the input's shape, NHWC.

    `tiles` may be given. Without `stages`, an image whose padding local memory would have is padded before.
    """
    shape = ConvShape.of(space, attrs, operand)
    shape = shape.with_atom(machine) if constant[1] else shape
    static = DYNAMIC not in image[1:]
    in_place = shape.depthwise and shape.size["kw"] <= WIDEST_IN_PLACE
    dots = _depthwise_atom(shape, machine) if in_place and image[2] != DYNAMIC and constant[1] else None
    if tiles is None:
        tiles = _depthwise_tiles(shape, machine, dots) if shape.depthwise else _tiles(shape, machine)
    copies = not in_place and (any(attrs.padding) or shape.missing > 0)
    stages = stages and copies and static and shape.staged_bytes(tiles.get("oh", 1)) <= machine.near_bytes
    blocks = _blocks(shape, tiles, stages, machine)
    packed = shape.packed(stages or in_place, tiles[shape.channel] if constant[1] else None)
    if dots is not None:
        packed["weight"] = PackWithSums(WEIGHT_PERMUTATION, (0, 2), (tiles["g"], dots.depth))
    order = ("g", "oh", "ow") if shape.depthwise else ("g", "oc", "oh", "ow")
    parallel = tuple(name for name in ("n", "oh", shape.channel) if blocks.get(name))
    tiles = _ordered(tiles, order) | ({"ic": shape.steps} if shape.atom else {})
    staged = ("input",) if stages else ()
    atom = shape.atom or dots
    return Schedule.of(tiles, blocks, parallel, packed, staged, atom=atom.name if atom else None)


def schedule_for_workgroups(
    space: IterationSpace,
    attrs: Attributes,
    image: Sequence[int],
    constant: Sequence[bool],
    operand: ElementType,
    machine: WorkgroupMachine,
) -> Schedule:
    """A tile of pixels and channels per workgroup; padding is made in local memory if the rows fit, else beforehand."""
    shape = ConvShape.of(space, attrs, operand)
    size, channel = shape.size, shape.channel
    area = (ELEMENTS if shape.depthwise else ACCUMULATORS) * machine.workgroup_size
    channels = min(power_of_two(size[channel]), machine.workgroup_size)
    columns = min(power_of_two(size["ow"]), area // channels, 16)
    tiles = {"ow": columns, channel: channels, "kw": size["kw"] if shape.depthwise else 1}
    if not shape.depthwise:
        tiles |= {"oh": min(power_of_two(size["oh"]), max(1, area // (channels * columns)), 4), "ic": 1}
    stages = any(attrs.padding) and DYNAMIC not in image[1:]
    while stages and tiles.get("oh", 1) > 1 and shape.staged_bytes(tiles["oh"]) > machine.local_bytes:
        tiles["oh"] //= 2
    stages = stages and shape.staged_bytes(tiles.get("oh", 1)) <= machine.local_bytes
    packed = shape.packed(stages, channels if constant[1] else None)
    blocks = {"n": 1, "oh": tiles.get("oh", 1), channel: channels}
    staged = ("input",) if stages else ()
    return Schedule.of(_ordered(tiles, ("g", "oc", "oh", "ow")), blocks, ("n", "oh", channel), packed, staged)


def _ordered(tiles: Mapping[str, int], order: Sequence[str]) -> dict[str, int]:
    """The tiles of a pixel's dimensions in the order of their loops, then those of what is summed."""
    return {**dict.fromkeys(order, 1), **tiles}


def schedule_for_circuit(
    space: IterationSpace,
    attrs: Attributes,
    image: Sequence[int],
    constant: Sequence[bool],
    operand: ElementType,
    machine: CircuitMachine,
) -> Schedule:
    """Of floats: one pixel by some output channels. Input goes through local memory, which is read in banks and filled
    in order: all of it, or of a padded image as many rows as fit.

    Where not even the rows of one output row fit, the image is padded before, by a kernel of its own.
    """
    shape = ConvShape.of(space, attrs, operand)
    size, channel = shape.size, shape.channel
    tiles = {"ow": 1, "kw": 1, channel: divisor(size[channel], COLUMNS)}
    tiles |= {} if shape.depthwise else {"ic": 1}
    # As many output rows as have all their input rows in local memory.
    window = space.accesses[0][1].span({**size, "oh": 1})
    row_bytes = shape.staged_bytes(1) // window
    rows = min(size["oh"], (machine.local_bytes // row_bytes - window) // attrs.strides[0] + 1)
    stages = rows >= 1 if any(attrs.padding) else rows == size["oh"]
    blocks = {"oh": rows} if stages and rows < size["oh"] else {}
    packed = shape.packed(stages, tiles[shape.channel] if constant[1] else None)
    return Schedule.of(_ordered(tiles, ("oh", "ow", "g", "oc")), blocks, (), packed, ("input",) if stages else ())


def schedules_for_circuit(
    space: IterationSpace,
    attrs: Attributes,
    image: Sequence[int],
    constant: Sequence[bool],
    operand: ElementType,
    machine: CircuitMachine,
) -> Iterator[Schedule]:
    """Of integers: some pixels of a row by some output channels, and of the sums some input channels, or all of them of
    all columns of the window. A padded image is padded before, by a kernel of its own.
    """
    shape = ConvShape.of(space, attrs, operand)
    size, channel, widest = shape.size, shape.channel, machine.widest
    sums = [{"kw": 1, "ic": depth} for depth in divisors(size["ic"], widest)]
    if size["kw"] <= widest and size["ic"] <= widest:
        sums.append({"kw": size["kw"], "ic": size["ic"]})
    choices = {"ow": divisors(size["ow"], widest), channel: divisors(size[channel], widest)}
    order = ("g", "oh", "ow") if shape.depthwise else ("g", "oc", "oh", "ow")
    for together in sums:
        if shape.depthwise:
            del together["ic"]
        for tile in tiles_of_circuit(space, choices, {**dict.fromkeys(order, 1), **together}):
            yield Schedule.of(tile, packed=shape.packed(False, tile[channel] if constant[1] else None))


def _tiles(shape: ConvShape, machine: VectorMachine) -> dict[str, int]:
    """Pixels along a row by channels; where rows are short, pixels of two rows."""
    size = shape.size
    best: tuple[float, dict[str, int]] | None = None
    for rows in (1, 2) if size["ow"] <= 8 and size["oh"] > 1 else (1,):
        tile = best_tile(size["ow"], size["oc"], range(1, 1 + 14 // rows), machine, stacked=rows)
        tall = RegisterTile(rows * tile.rows, tile.columns)
        cycles = cover_cycles(size["ow"] * rows, size["oc"], tall, machine) / rows
        choice = {"oh": rows, "ow": tile.rows, "oc": tile.columns, "kw": 1, "ic": 1}
        if best is None or cycles < best[0]:
            best = (cycles, choice)
    assert best is not None
    return best[1]


def _depthwise_atom(shape: ConvShape, machine: VectorMachine) -> Atom | None:
    """The atom that adds four products of a column of the window, which all have code of their own.

    Its weights stay in registers: with 16 of these it takes 1.1 to 1.7 times as long as multiply-adds.
    """
    atom = machine.best_atom((shape.type.name, shape.type.name, shape.type.sums_in))
    fits = shape.size["kh"] <= WIDEST_IN_PLACE and machine.vector_registers >= 32
    return atom if fits and atom is not None and atom.depth == 4 and atom.unsigned_lhs else None


def _depthwise_tiles(shape: ConvShape, machine: VectorMachine, atom: Atom | None) -> dict[str, int]:
    """As many pixels of one vector of channels as registers hold: weights and pixels are loaded, none is broadcast.

    With an atom the results of all channels of a tile fill a register of bytes, and registers hold the weights, too.
    """
    limit, vectors = 14 if machine.vector_registers >= 32 else 6, 1
    if atom is not None:
        vectors = min(atom.depth, -(-shape.size["g"] // machine.lanes))
        words = shape.size["kw"] * -(-shape.size["kh"] // atom.depth)
        limit = max(1, min(limit, (machine.vector_registers - 4) // vectors - words))
    columns = shape.size["ow"]
    if shape.space.size("ow") == DYNAMIC:
        limit = min(limit, ANY_WIDTH)
    width = min(range(1, limit + 1), key=lambda w: (-(-columns // w), w))
    return {"ow": width, "g": vectors * machine.lanes, "kw": shape.size["kw"]}


def _blocks(shape: ConvShape, tiles: dict[str, int], staged: bool, machine: VectorMachine) -> dict[str, int]:
    """Rows and channels of a workgroup: enough workgroups for the workers, few enough rows for local memory."""
    size = shape.size
    speed = shape.atom.speed if shape.atom else 1.0
    cycles = multiply_add_cycles(math.prod(size.values()), machine, speed)
    parts = -(-wanted_workgroups(cycles, machine.workers) // size["n"])
    tile_rows = tiles.get("oh", 1)
    weights = shape.type.bytes * shape.space.footprint(1, size)
    blocks = {"n": 1}
    rows = size["oh"]
    if weights > machine.l2_bytes // 2 and size["g"] == 1:
        # Weights exceed the cache: each workgroup reads its own part of them, once.
        blocks["oc"] = block_size(size["oc"], tiles["oc"], parts)
    else:
        rows = block_size(size["oh"], tile_rows, parts) or size["oh"]
    while staged and rows > tile_rows and shape.staged_bytes(rows) > machine.near_bytes:
        rows = max(tile_rows, rows // 2 // tile_rows * tile_rows)
    if rows < size["oh"]:
        blocks["oh"] = -(-rows // tile_rows) * tile_rows
    return {name: block for name, block in blocks.items() if block}
