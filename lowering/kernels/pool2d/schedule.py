"""The schedule of pooling kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator

from terrace.dialects.base import Attributes, attributes_of
from terrace.element_types import ElementType
from terrace.lowering.kernels.circuit_tile import (
    COLUMNS,
    divisor,
    divisors,
    tiles_of_circuit,
)
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView
from terrace.lowering.kernels.work_division import BYTES_PER_CYCLE, block_size, wanted_workgroups
from terrace.machine import CircuitMachine, VectorMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 32
"""What an unknown (`?`) size is taken for; a batch of unknown size has a workgroup for each image."""

UNROLL = 4
"""Vectors that are in flight together: of one pixel's channels, and of neighbouring pixels where there are fewer."""


def schedule_for_vectors(
    space: IterationSpace, attrs: Attributes, operand: ElementType, machine: VectorMachine, unroll: int = UNROLL
) -> Schedule:
    """Vectors of channels; blocks of output rows for the workgroups."""
    size = space.expected(ASSUMED_SIZE)
    channels = min(size["c"], unroll * machine.lanes)
    hangs_over = attrs.ceil_mode or any(attrs.padding)
    pixels = 1 if hangs_over else max(1, min(size["ow"], unroll * machine.lanes // channels))
    images = 1 if space.size("n") == DYNAMIC else size["n"]
    points = math.prod(size.values()) // size["n"] * images
    wanted = wanted_workgroups(operand.bytes * points / BYTES_PER_CYCLE, machine.workers)
    of_images = 1 if space.size("n") == DYNAMIC else block_size(images, 1, wanted)
    blocks = {"n": of_images, "oh": block_size(size["oh"], 1, -(-wanted // images))}
    blocks = {name: block for name, block in blocks.items() if block}
    return Schedule.of({"ow": pixels, "c": channels}, blocks, tuple(blocks))


def schedule_for_circuit(space: IterationSpace) -> Schedule:
    """One pixel by some channels."""
    return Schedule.of({"ow": 1, "c": divisor(space.size("c"), COLUMNS)})


def schedules_for_circuit(kernel: KernelView, machine: CircuitMachine) -> Iterator[Schedule]:
    """Of integers: some channels of a pixel, or all of several pixels, whose windows do not hang over the edge."""
    space, attrs = kernel.space, attributes_of(kernel.root)
    hangs_over = attrs.ceil_mode or any(attrs.padding)
    channels = divisors(space.size("c"), machine.widest)
    several = () if hangs_over or channels[0] < space.size("c") else divisors(space.size("ow"), machine.widest)
    for choices in ({"c": channels, "ow": (1,)}, {"c": channels[:1], "ow": several}):
        for tile in tiles_of_circuit(space, choices, {"oh": 1}):
            yield Schedule.of({name: size for name, size in tile.items() if name != "oh"})
