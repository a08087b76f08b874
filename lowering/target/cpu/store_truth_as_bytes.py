"""`store-truth-as-bytes`: the memory of truth values, one byte each, as PyTorch and IREE have them.

A tile of i1 is loaded as one of i8 and compared with 0; it is stored as zeros and ones. What is only moved stays bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from terrace.dialects import loop
from terrace.dialects.base import attributes_of, to_attribute
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.graph.payload_types import is_bool, with_element
from terrace.mlir import arith, ir, walk
from terrace.passes import Pass


def _byte() -> ir.Type:
    return ir.IntegerType.get_signless(8)


def _convert_memory(operations: Iterable[ir.Operation]) -> set[ir.Value]:
    """Make all memory of i1 one of bytes; returns it."""
    found = set[ir.Value]()
    for operation in operations:
        for result in operation.results:
            if isinstance(result.type, ir.MemRefType) and is_bool(ir.MemRefType(result.type).element_type):
                old = ir.MemRefType(result.type)
                result.set_type(ir.MemRefType.get(old.shape, _byte(), old.layout, old.memory_space))
                found.add(result)
    return found


def _convert_load(operation: ir.Operation) -> None:
    """Read bytes; what stores them as they are gets them as they are."""
    old = operation.results[0]
    view, attrs = operation.opview, attributes_of(operation)
    with operation.location, ir.InsertionPoint(operation):
        bytes_ = loop.LoadTileOp(
            view.source,
            list(view.indices),
            list(view.sizes),
            to_attribute(attrs.dims),
            to_attribute(attrs.strides),
            with_element(old.type, _byte()),
        ).operation.results[0]
        zero = ir.DenseElementsAttr.get_splat(bytes_.type, ir.IntegerAttr.get(_byte(), 0))
        truth = arith.cmpi(arith.CmpIPredicate.ne, bytes_, arith.constant(bytes_.type, zero))
    for use in list(old.uses):
        if use.owner.operation.name == "loop.store_tile":
            use.owner.operation.operands[use.operand_number] = bytes_
    old.replace_all_uses_with(truth)
    operation.erase()


def _convert_store(operation: ir.Operation) -> None:
    tile = operation.operands[0]
    if is_bool(ir.VectorType(tile.type).element_type):
        with operation.location, ir.InsertionPoint(operation):
            operation.operands[0] = arith.extui(with_element(tile.type, _byte()), tile)


@dataclasses.dataclass(frozen=True)
class StoreTruthAsBytes(Pass):
    """Give kernels bytes where they have truth values in memory."""

    name = "store-truth-as-bytes"

    def run(self, module: ir.Operation) -> None:
        for function in loop_kernels(module):
            operations = list(walk(function.operation))
            memory = _convert_memory(operations)
            touching = [op for op in operations if any(value in memory for value in op.operands)]
            loads, stores = ([op for op in touching if op.name == f"loop.{kind}_tile"] for kind in ("load", "store"))
            for load in loads:
                _convert_load(load)
            for store in stores:
                _convert_store(store)
