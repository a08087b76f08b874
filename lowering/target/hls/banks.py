"""Which arrays may be cut into cyclic banks, so that the copies of an unrolled body read their elements at once.

Element i of the last dimension is in bank i mod factor. That helps where the index of the unrolled loop moves by one in
the last dimension and every other part of that address is a multiple of the factor: then each copy has a bank of its
own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from terrace.dialects.base import entries_of, shape_of, to_attribute, to_python
from terrace.dialects.hardware import PARTITION, partition_attribute
from terrace.lowering.target.hls.addresses import Access, accesses, coefficients, constant_index, is_register, reads
from terrace.lowering.target.hls.calls import calls_of, is_weight_on_chip
from terrace.mlir import ir, operation_of


def partition_of(memory: ir.Value) -> dict[str, Any]:
    """The partition of an array or an argument; empty if it has none."""
    owner = operation_of(memory)
    if owner is not None:
        attributes: Any = owner.attributes
    else:
        function = ir.BlockArgument(memory).owner.owner.opview
        if "arg_attrs" not in function.attributes:
            return {}
        attributes = function.arg_attrs[ir.BlockArgument(memory).arg_number]
    return dict(to_python(attributes[PARTITION])) if PARTITION in attributes else {}


def set_banks(memory: ir.Value, factor: int) -> None:
    """Cut the last dimension of an array, or of an argument, into cyclic banks."""
    spec = partition_attribute("cyclic", len(shape_of(memory)), factor)
    owner = operation_of(memory)
    if owner is not None:
        owner.attributes[PARTITION] = spec
        return
    argument = ir.BlockArgument(memory)
    function = argument.owner.owner.opview
    own: list[dict[str, ir.Attribute]] = [{} for _ in function.entry_block.arguments]
    if "arg_attrs" in function.attributes:
        own = [entries_of(each) for each in function.arg_attrs]
    own[argument.arg_number][PARTITION] = spec
    function.attributes["arg_attrs"] = to_attribute([ir.DictAttr.get(each) for each in own])


def wanted_banks(loop: ir.Operation, factor: int) -> list[ir.Value] | None:
    """The arrays that need banks if `loop`, which reads them into registers, is unrolled by `factor`.

    None if one of them cannot have them: it is no array of the kernel nor a weight on chip, has other banks, or another
    part of its address, here or where it is read elsewhere, is no multiple of the factor.
    """
    index = loop.regions[0].blocks[0].arguments[0]
    arrays: list[ir.Value] = []
    for access in accesses(loop):
        if is_register(access.memory):
            continue
        if access.is_store:
            return None
        if access.depends_on(index) and access.memory not in arrays:
            arrays.append(access.memory)
    if not arrays or not all(_may_have_banks(memory, factor) for memory in arrays):
        return None
    mine = [access for access in accesses(loop) if access.memory in arrays]
    if not all(_moves_by_one(access, index) for access in mine):
        return None
    return arrays if all(_is_fixed(a, factor, index) for memory in arrays for a in _reads(memory)) else None


def _may_have_banks(memory: ir.Value, factor: int) -> bool:
    owner, found = operation_of(memory), partition_of(memory)
    if shape_of(memory)[-1:] == [] or shape_of(memory)[-1] % factor:
        return False
    if found and found.get("factor") != factor:
        return False
    if owner is not None:
        return owner.name == "memref.alloca"
    argument = ir.BlockArgument(memory)
    calls = calls_of(argument.owner.owner.opview)
    return bool(calls) and all(is_weight_on_chip(call.operands[argument.arg_number]) for call in calls)


def _reads(memory: ir.Value) -> Iterator[Access]:
    for use in memory.uses:
        if use.owner.operation.name == "memref.load":
            yield Access(use.owner.operation)


def _step(index: ir.Value) -> int:
    """How far an index moves per iteration; 1, the strictest, when that is not known."""
    loop = index.owner.owner.operation if isinstance(index.owner, ir.Block) else None
    return (constant_index(loop.operands[2]) or 1) if loop is not None and loop.name == "scf.for" else 1


def _moves_by_one(access: Access, index: ir.Value) -> bool:
    """Whether an index counts in the last dimension of an address, by one, and in no other."""
    *outer, last = access.indices
    found = coefficients(last)
    return found is not None and found.get(index, 0) * _step(index) == 1 and not any(reads(v, index) for v in outer)


def _is_fixed(access: Access, factor: int, index: ir.Value) -> bool:
    """Whether what else the last part of an address is made of moves by multiples of the factor."""
    found = coefficients(access.indices[-1])
    if found is None:
        return False
    others = {value: c for value, c in found.items() if value != index}
    return all(c * _step(value) % factor == 0 for value, c in others.items())
