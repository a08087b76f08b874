"""The schedule of pooling kernels."""

from __future__ import annotations

import math

from terrace.dialects.base import Attributes
from terrace.element_types import ElementType
from terrace.lowering.kernels.circuit_tile import COLUMNS, divisor
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.work_division import BYTES_PER_CYCLE, block_size, wanted_workgroups
from terrace.machine import VectorMachine
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
