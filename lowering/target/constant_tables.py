"""Constant tables in the memory of a program: one `memref.global` for each content."""

from __future__ import annotations

import hashlib

from terrace.dialects.base import element_type_of, shape_of, to_attribute
from terrace.mlir import ir, memref


def table_memory(table: ir.DenseElementsAttr) -> ir.Value:
    """The memory that holds a dense attribute, for the function at the insertion point; its module gets a global."""
    type_ = ir.MemRefType.get(shape_of(table.type), element_type_of(table.type))
    name = f"table_{hashlib.sha256(str(table).encode()).hexdigest()[:8]}"
    block = _module_block()
    if not any(_is_global(view.operation, name) for view in block.operations):
        attributes = {
            "sym_name": to_attribute(name),
            "sym_visibility": to_attribute("private"),
            "type": ir.TypeAttr.get(type_),
            "initial_value": table,
            "constant": ir.UnitAttr.get(),
        }
        with ir.InsertionPoint.at_block_begin(block):
            ir.Operation.create("memref.global", attributes=attributes)
    return memref.get_global(type_, ir.FlatSymbolRefAttr.get(name))


def _module_block() -> ir.Block:
    owner = ir.InsertionPoint.current.block.owner.operation
    while owner.name != "builtin.module":
        owner = owner.parent.operation
    return owner.regions[0].blocks[0]


def _is_global(operation: ir.Operation, name: str) -> bool:
    return operation.name == "memref.global" and ir.StringAttr(operation.attributes["sym_name"]).value == name
