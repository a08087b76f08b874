"""Which arrays may be cut into cyclic banks, so that the copies of an unrolled body read their elements at once.

Element i of the array, in the order of memory, is in bank i mod factor. That helps where the copies read elements of
different banks, and every other part of the address is a multiple of the factor: then each copy has a bank of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from terrace.dialects.base import entries_of, shape_of, to_attribute, to_python
from terrace.dialects.hardware import COPIES, PARTITION, UNROLL, partition_attribute
from terrace.lowering.target.hls.addresses import (
    Access,
    accesses,
    constant_index,
    flat_moves,
    is_register,
    loop_of,
    trip_count,
)
from terrace.lowering.target.hls.calls import calls_of, is_weight_on_chip
from terrace.mlir import ir, operation_of


def partition_of(memory: ir.Value) -> dict[str, Any]:
    """The partition of an array or an argument; empty if it has none."""
    return dict(attribute_of(memory, PARTITION) or {})


def copies_of(memory: ir.Value) -> int:
    """How often an array or an argument is there."""
    return attribute_of(memory, COPIES) or 1


def attribute_of(memory: ir.Value, name: str) -> Any:
    """An attribute of an array or an argument; None if it has none."""
    owner = operation_of(memory)
    if owner is not None:
        attributes: Any = owner.attributes
    else:
        function = ir.BlockArgument(memory).owner.owner.opview
        if "arg_attrs" not in function.attributes:
            return None
        attributes = function.arg_attrs[ir.BlockArgument(memory).arg_number]
    return to_python(attributes[name]) if name in attributes else None


def set_banks(memory: ir.Value, factor: int) -> None:
    """Cut the last dimension of an array, or of an argument, into cyclic banks."""
    set_attribute(memory, PARTITION, partition_attribute("cyclic", len(shape_of(memory)), factor))


def set_attribute(memory: ir.Value, name: str, value: ir.Attribute) -> None:
    """Give an array, or an argument, an attribute."""
    owner = operation_of(memory)
    if owner is not None:
        owner.attributes[name] = value
        return
    argument = ir.BlockArgument(memory)
    function = argument.owner.owner.opview
    own: list[dict[str, ir.Attribute]] = [{} for _ in function.entry_block.arguments]
    if "arg_attrs" in function.attributes:
        own = [entries_of(each) for each in function.arg_attrs]
    own[argument.arg_number][name] = value
    function.attributes["arg_attrs"] = to_attribute([ir.DictAttr.get(each) for each in own])


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
            offsets = _offsets(access, loop, factor)
            if offsets is None or found.setdefault(access.memory, len(offsets)) != len(offsets):
                return None
            if len({offset % len(offsets) for offset in offsets}) < len(offsets):
                return None
    if not found or not all(_may_have_banks(memory, banks) for memory, banks in found.items()):
        return None
    fixed = all(_is_fixed(read, banks, loop, factor) for memory, banks in found.items() for read in _reads(memory))
    return found if fixed else None


def _offsets(access: Access, loop: ir.Operation, factor: int) -> set[int] | None:
    """How far apart in memory the elements are that the copies of an access read; None if that is not known."""
    moves = flat_moves(access)
    if moves is None:
        return None
    offsets = {0}
    for index, move in moves.items():
        copies = _copies(index, loop, factor)
        offsets = {offset + move * _step(index) * copy for offset in offsets for copy in range(copies)}
    return offsets


def _copies(index: ir.Value, loop: ir.Operation, factor: int) -> int:
    """How many values of an index are there at once, where `loop` is unrolled by `factor`."""
    owner = loop_of(index)
    if owner is None:
        return 1
    if owner == loop:
        return factor
    return int(to_python(owner.attributes[UNROLL])) if UNROLL in owner.attributes else 1


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


def _reads(memory: ir.Value) -> Iterator[Access]:
    for use in memory.uses:
        if use.owner.operation.name == "memref.load":
            yield Access(use.owner.operation)


def _step(index: ir.Value) -> int:
    """How far an index moves per iteration; 1, the strictest, when that is not known."""
    loop = loop_of(index)
    return (constant_index(loop.operands[2]) or 1) if loop is not None else 1


def _is_fixed(access: Access, banks: int, loop: ir.Operation, factor: int) -> bool:
    """Whether an address stays in its bank from one iteration to the next, whatever is not unrolled."""
    moves = flat_moves(access)
    if moves is None:
        return False
    return all(
        move * _step(index) * copies % banks == 0 or copies == _trips(index)
        for index, move in moves.items()
        for copies in [_copies(index, loop, factor)]
    )


def _trips(index: ir.Value) -> int | None:
    loop = loop_of(index)
    return trip_count(loop) if loop is not None else None
