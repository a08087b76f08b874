"""The attributes of memories, which an array has itself and an argument has in its function's."""

from __future__ import annotations

from typing import Any

from terrace.dialects.base import entries_of, shape_of, to_attribute, to_python
from terrace.dialects.hardware import COPIES, PARTITION, partition_attribute
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
