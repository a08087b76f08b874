"""Which arrays may be cut into cyclic banks, so that the copies of an unrolled body read their elements at once.

Element i of the array, in the order of memory, is in bank i mod factor. That helps where the copies read elements of
different banks, and every other part of the address is a multiple of the factor: then each copy has a bank of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from terrace.dialects.base import shape_of
from terrace.lowering.target.hls.addresses import accesses, is_register
from terrace.lowering.target.hls.calls import calls_of, is_weight_on_chip
from terrace.lowering.target.hls.memory_attributes import partition_of
from terrace.lowering.target.hls.reach import Reach, reach_of
from terrace.mlir import ir, operation_of


def wanted_banks(loop: ir.Operation, factor: int) -> dict[ir.Value, int] | None:
    """The arrays that need banks if `loop`, which reads them into registers, is unrolled by `factor`, and how many.

    Loops in it that are unrolled whole count, too: an array has a bank for each element that one iteration reads. None
    if one cannot have them: it is no array of the kernel nor a weight on chip, or something else in its address, here
    or where it is read elsewhere, moves from bank to bank.
    """
    index = loop.regions[0].blocks[0].arguments[0]
    found: dict[ir.Value, int] = {}
    for access in accesses(loop):
        if is_register(access.memory):
            if access.is_store and not access.depends_on(index):
                return None  # All copies would write the same register.
            continue
        if access.is_store:
            return None
        if access.depends_on(index):
            reach = reach_of(access.operation, unrolled=(loop, factor))
            banks = len(reach.offsets) if reach is not None else 0
            if reach is None or found.setdefault(access.memory, banks) != banks:
                return None
            if len({offset % banks for offset in reach.offsets}) < banks:
                return None
    if not found or not all(_may_have_banks(memory, banks) for memory, banks in found.items()):
        return None
    reaches = [(reach, banks) for memory, banks in found.items() for reach in _reaches(memory, loop, factor)]
    return found if all(reach is not None and reach.is_fixed(banks) for reach, banks in reaches) else None


def _may_have_banks(memory: ir.Value, banks: int) -> bool:
    """Arrays on chip are flat: they may have more banks than a row has elements."""
    owner, shape, found = operation_of(memory), shape_of(memory), partition_of(memory)
    if found and (found.get("kind") != "cyclic" or banks % found.get("factor", 1)):
        return False
    if owner is not None:
        return owner.name == "memref.alloca" and bool(shape) and shape[-1] % banks == 0
    argument = ir.BlockArgument(memory)
    calls = calls_of(argument.owner.owner.opview)
    is_on_chip = bool(calls) and all(is_weight_on_chip(call.operands[argument.arg_number]) for call in calls)
    return is_on_chip and bool(shape) and math.prod(shape) % banks == 0


def _reaches(memory: ir.Value, loop: ir.Operation, factor: int) -> Iterator[Reach | None]:
    """What the loads of a memory read at once, where `loop` is unrolled by `factor`."""
    for use in memory.uses:
        if use.owner.operation.name == "memref.load":
            yield reach_of(use.owner.operation, unrolled=(loop, factor))
