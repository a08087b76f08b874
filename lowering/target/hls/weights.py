"""The elements of constant arrays, integers of any width up to 64 among them, which the bindings cannot read."""

from __future__ import annotations

from typing import Any

import numpy as np
from terrace.lowering.graph.evaluation.arrays import dense_array
from terrace.lowering.target.hls.expressions import is_ap_int
from terrace.mlir import func, ir
from terrace.passes import UpstreamPass, run_passes


def dense_elements(attribute: ir.Attribute) -> np.ndarray:
    """The elements of a dense attribute; integers that are `ap_int` in C++ come as int64."""
    type_ = ir.ShapedType(attribute.type)
    if not is_ap_int(type_.element_type):
        return dense_array(attribute)
    return dense_array(_extended(attribute, tuple(type_.shape)))


def _extended(attribute: ir.Attribute, shape: tuple[int, ...]) -> Any:
    """The attribute with elements of i64: MLIR's folder extends them."""
    with ir.Location.unknown(attribute.type.context):
        wide = ir.RankedTensorType.get(shape, ir.IntegerType.get_signless(64))
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            function = func.FuncOp("extended", ([], [wide]))
        with ir.InsertionPoint(function.add_entry_block()):
            narrow = ir.Operation.create("arith.constant", [attribute.type], attributes={"value": attribute})
            made = ir.Operation.create("arith.extsi", [wide], [narrow.results[0]])
            ir.Operation.create("func.return", [], [made.results[0]])
        run_passes([UpstreamPass("canonicalize")], module.operation)
        (constant, _) = function.entry_block.operations
        # A copy: the attribute is the context's, not the module's.
        return constant.operation.attributes["value"]
