"""Which arguments of kernels are weights, as @main calls them."""

from __future__ import annotations

from typing import Any

import numpy as np
from terrace.dialects.base import to_python
from terrace.lowering.evaluate import dense_array
from terrace.lowering.target.hls.convert_loop_to_hls import PORT
from terrace.mlir import func, ir, operation_of


def weights_of(module: ir.Operation) -> dict[tuple[str, int], str | np.ndarray]:
    """For kernels and the numbers of their arguments, the symbol of the weight that they get, or its elements.

    A kernel that is called several times stands with the weights of the first call; without @main there are none.
    """
    operations = [view for view in module.regions[0].blocks[0].operations]
    globals_ = {to_python(v.attributes["sym_name"]): v for v in operations if v.operation.name == "memref.global"}
    found: dict[tuple[str, int], str | np.ndarray] = {}
    called: set[str] = set()
    for function in operations:
        if not isinstance(function, func.FuncOp) or function.name.value != "main":
            continue
        for view in function.entry_block.operations:
            if view.operation.name != "func.call":
                continue
            callee = to_python(view.operation.attributes["callee"])
            if callee in called:
                continue
            called.add(callee)
            for number, operand in enumerate(view.operation.operands):
                symbol = _symbol(function, operand)
                if symbol is not None:
                    found[callee, number] = _value(globals_.get(symbol), symbol)
    return found


def _symbol(main: Any, memory: ir.Value) -> str | None:
    """The weight that a memory of @main is."""
    owner = operation_of(memory)
    if owner is None:
        if "arg_attrs" not in main.attributes:
            return None
        own = main.arg_attrs[ir.BlockArgument(memory).arg_number]
        return to_python(own[PORT]) if PORT in own else None
    if owner.name == "memref.reinterpret_cast":
        return _symbol(main, owner.operands[0])
    return to_python(owner.attributes["name"]) if owner.name == "memref.get_global" else None


def _value(global_: Any, symbol: str) -> str | np.ndarray:
    if global_ is None:
        return symbol
    value = global_.attributes["initial_value"]
    return dense_array(value) if isinstance(value, ir.DenseElementsAttr) else symbol
