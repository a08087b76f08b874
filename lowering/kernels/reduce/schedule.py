"""The schedule of reductions over any axes."""

from __future__ import annotations

import math

from terrace.element_types import ElementType
from terrace.lowering.kernels.circuit_tile import rows_of_circuit
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView
from terrace.lowering.kernels.work_division import BYTES_PER_CYCLE, block_size, sum_block, wanted_workgroups
from terrace.machine import CircuitMachine, VectorMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
UNROLL = 4
"""Vectors along the last dimension that are in flight together: enough to hide the latency of an addition."""


def schedule_for_vectors(
    space: IterationSpace, kind: str, operand: ElementType, machine: VectorMachine, unroll: int = UNROLL
) -> Schedule:
    """Several vectors along the last dimension; blocks of what stays, outermost first, for the workgroups.

    Long sums are made in parts.
    """
    sizes = [ASSUMED_SIZE if size == DYNAMIC else size for size in space.sizes]
    last = space.names[-1]
    tile = min(unroll * machine.lanes, sizes[-1])
    if space.sizes[-1] == DYNAMIC:
        tile = machine.lanes
    if kind == "prod" and space.kinds[-1] == "reduction":
        tile = 1  # no tile op multiplies a row
    parts = wanted_workgroups(operand.bytes * math.prod(sizes) / BYTES_PER_CYCLE, machine.workers)
    blocks: dict[str, int] = {}
    for name, role, size in zip(space.names, space.kinds, sizes, strict=True):
        if role == "reduction" or len(blocks) == 3:
            continue
        block = block_size(size, tile if name == last else 1, parts)
        if block:
            blocks[name] = block
            parts = -(-parts * block // size)
    parts_of_sums = _sum_blocks(space, tile) if kind in ("sum", "mean") else {}
    return Schedule.of({last: tile}, blocks | parts_of_sums, tuple(blocks))


def schedule_for_circuit(kernel: KernelView, kind: str, machine: CircuitMachine) -> Schedule:
    """Parts of the last dimension; a product along it takes one element after another."""
    if kind == "prod" and kernel.space.kinds[-1] == "reduction":
        return Schedule.of({})
    return rows_of_circuit(kernel, machine)


def _sum_blocks(space: IterationSpace, tile: int) -> dict[str, int]:
    """How much is added up at a time along each dimension that is reduced, the last one first."""
    blocks: dict[str, int] = {}
    terms = 1
    for name, kind, size in reversed(list(zip(space.names, space.kinds, space.sizes, strict=True))):
        if kind != "reduction":
            continue
        step = tile if name == space.names[-1] else 1
        block = sum_block(size, step, terms)
        if block:
            blocks[name] = block
        terms = 1 if block else terms * -(-size // step)
    return blocks
