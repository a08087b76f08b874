"""The cost model of implicit GEMM for convolutions. Pure functions of sizes and hardware."""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.conv2d.implicit_gemm_shape import (
    IMPLICIT_GEMM,
    MOST_TAPS,
    GemmShape,
    refusal,
    window_of,
)
from terrace.lowering.kernels.conv2d.schedule import ASSUMED_SIZE, WEIGHT_PERMUTATION
from terrace.lowering.kernels.packing import Pack, Packing, PackRows
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView
from terrace.lowering.kernels.work_division import BYTES_PER_CYCLE, block_size, multiply_add_cycles, wanted_workgroups
from terrace.machine import Atom, VectorMachine

BLOCKS = 2
"""Blocks of an atom that a tile has along each side: each is loaded once for two products."""

SUM_BYTES = 4
"""A sum, in float32 or int32."""

RUN_BYTES = 48 << 10
"""Sums of a run, at most: they are read again soon."""

PIXEL_CYCLES = 2.0
"""Cycles for each vector of an image that is copied, or of sums that go through the epilogue."""

CALL_CYCLES = 30.0
"""Cycles for each tile and element of the window beside its products."""


def ranked_schedules(kernel: KernelView, machine: VectorMachine) -> list[tuple[float, Schedule]]:
    """The schedules by implicit GEMM that a kernel may have, and their cycles, the best first."""
    root, type_ = kernel.root, kernel.operand_types[0]
    attrs, (image, weight) = attributes_of(root), (shape_of(value) for value in root.operands)
    if not kernel.constant[1] or refusal(kernel.space, attrs, image) is not None:
        return []
    height, width = kernel.space.size("oh"), kernel.space.size("ow")
    atom = machine.best_atom((type_.name, type_.name, type_.sums_in), height * width)
    if atom is None or atom.block is None:
        return []
    rows, columns, step = atom.block
    channels, taken, *size = weight
    by_rows = taken % step != 0
    if by_rows and attrs.dilations[1] != 1:
        return []
    window, taken = window_of(size, attrs, by_rows), taken * size[1] if by_rows else taken
    if len(window.shifts) > MOST_TAPS:
        return []
    images = kernel.space.expected(ASSUMED_SIZE)["n"]
    found = []
    for count in range(1, height + 1):
        shape = GemmShape(
            (image[1], image[2]), height, width, channels, -(-taken // step) * step, taken, window,
            block=height, rows=count, tile=BLOCKS * rows, panel=BLOCKS * columns, step=step,
        )  # fmt: skip
        if count > 1 and SUM_BYTES * shape.run * shape.panel > RUN_BYTES:
            break
        cut = _with_block(shape, images, type_.bytes, atom, machine)
        if cut is not None:
            found.append((cycles(cut, images, atom, machine), schedule_of(cut, atom)))
    return sorted(found, key=lambda pair: pair[0])


def _with_block(shape: GemmShape, images: int, size: int, atom: Atom, machine: VectorMachine) -> GemmShape | None:
    """The shape with as many rows a workgroup as occupy the workers and fit its memory; None if none do."""
    parts = -(-wanted_workgroups(cycles(shape, images, atom, machine), machine.workers) // images)
    most = block_size(shape.height, shape.rows, parts) or shape.height
    runs = range(most // shape.rows * shape.rows, 0, -shape.rows)
    for rows in (shape.height, *runs) if most >= shape.height else runs:
        cut = dataclasses.replace(shape, block=rows)
        pixels, sums = size * len(cut.planes) * cut.positions * cut.depth, SUM_BYTES * cut.run * cut.panel
        if pixels <= machine.near_bytes and pixels + sums <= machine.local_bytes:
            return cut
    return None


def cycles(shape: GemmShape, images: int, atom: Atom, machine: VectorMachine) -> float:
    """The cycles until the last worker is done."""
    blocks = -(-shape.height // shape.block)
    runs = -(-shape.block // shape.rows)
    panels, taps = -(-shape.channels // shape.panel), len(shape.window.shifts)
    computed = shape.run * panels * shape.panel * shape.depth * taps
    products = multiply_add_cycles(computed, machine, atom.speed)
    products += -(-shape.run // shape.tile) * panels * taps * CALL_CYCLES
    vectors = len(shape.planes) * shape.staged_rows * shape.wide * shape.depth / machine.lanes
    sums = shape.rows * shape.width * shape.channels / machine.lanes
    each = PIXEL_CYCLES * vectors + runs * (products + PIXEL_CYCLES * sums)
    weights = taps * shape.depth * shape.channels / BYTES_PER_CYCLE
    return (each + weights) * -(-images * blocks // machine.workers)


def schedule_of(shape: GemmShape, atom: Atom) -> Schedule:
    """The schedule that cuts so."""
    blocks = {"n": 1} | ({"oh": shape.block} if shape.block < shape.height else {})
    tile = {"oh": shape.rows, "ow": shape.tile, "oc": shape.panel, "kw": 1, "ic": shape.step}
    inner = (shape.panel, atom.depth)
    by_rows = shape.taken < shape.depth
    how: Packing = PackRows(inner, (shape.step,)) if by_rows else Pack(WEIGHT_PERMUTATION, (0, 1), inner)
    return Schedule.of(tile, blocks, tuple(blocks), {"weight": how}, ("input",), atom=atom.name, variant=IMPLICIT_GEMM)
