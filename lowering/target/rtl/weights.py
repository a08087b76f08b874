"""Which arguments of kernels are weights, as @main calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from terrace.dialects.base import to_attribute, to_python
from terrace.dialects.hardware import RANGE
from terrace.lowering.target.hls.calls import callee_of
from terrace.lowering.target.hls.convert_loop_to_hls import PORT
from terrace.lowering.target.hls.memory_attributes import set_attribute
from terrace.lowering.target.hls.weights import dense_elements
from terrace.mlir import func, ir, operation_of, walk


def globals_of(module: ir.Operation) -> dict[str, ir.Operation]:
    """The arrays on chip, by their symbols."""
    operations = [view.operation for view in module.regions[0].blocks[0].operations]
    return {to_python(op.attributes["sym_name"]): op for op in operations if op.name == "memref.global"}


def tables_of(function: func.FuncOp) -> dict[str, ir.Operation]:
    """The tables of constants that a kernel reads, by their symbols."""
    arrays = globals_of(function.operation.parent)
    symbols = [to_python(op.attributes["name"]) for op in walk(function.operation) if op.name == "memref.get_global"]
    return {symbol: arrays[symbol] for symbol in symbols if not is_weight(arrays[symbol])}


def is_weight(global_: ir.Operation) -> bool:
    """Whether the elements of an array on chip are a weight's, not in the module."""
    return not isinstance(global_.attributes["initial_value"], ir.DenseElementsAttr)


def weights_of(module: ir.Operation) -> dict[tuple[str, int], str | np.ndarray]:
    """For kernels and the numbers of their arguments, the symbol of the weight that they get, or constant elements.

    A kernel that is called several times stands with the weights of the first call; without @main there are none.
    """
    found: dict[tuple[str, int], str | np.ndarray] = {}
    for main, callee, operands, _ in reversed(_calls(module)):
        for number, operand in enumerate(operands):
            found.pop((callee, number), None)
            weight = weight_of(main, operand)
            if weight is not None:
                found[callee, number] = weight
    return found


def weight_of(main: func.FuncOp, memory: ir.Value) -> str | np.ndarray | None:
    """The symbol of the weight that a memory of @main is, or its elements if they are constants of the module."""
    symbol = _symbol(main, memory)
    if symbol is None:
        return None
    array = globals_of(main.operation.parent).get(symbol)
    return symbol if array is None or is_weight(array) else dense_elements(array.attributes["initial_value"])


def note_ranges(module: ir.Operation, elements: Callable[[str], np.ndarray | None]) -> None:
    """Write on kernels' arguments (`loop.range`) between which integers the weights are that all calls give them as.

    `elements` gives those of a weight, None if they are not known.
    """
    spans: dict[ir.Value, list[tuple[int, int] | None]] = {}
    for main, _, operands, call in _calls(module):
        for argument, operand in zip(callee_of(call).entry_block.arguments, operands, strict=True):
            weight = weight_of(main, operand)
            found = elements(weight) if isinstance(weight, str) else weight
            span = None
            if found is not None and found.dtype.kind == "i" and found.size:
                span = int(found.min()), int(found.max())
            spans.setdefault(argument, []).append(span)
    for argument, given in spans.items():
        known = [span for span in given if span is not None]
        if len(known) == len(given):
            ends = [min(low for low, _ in known), max(high for _, high in known)]
            set_attribute(argument, RANGE, to_attribute(ends))


def shifting_arguments(function: func.FuncOp) -> list[int]:
    """The numbers of a kernel's arguments whose elements are amounts to shift by, as they are.

    A shift by as many bits as there are, or by a negative number, means nothing. What is masked is no
    such amount.
    """
    found: set[int] = set()
    seen: set[ir.Value] = set()
    pending = [op.operands[1] for op in walk(function.operation) if op.name in _SHIFTS]
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        owner = operation_of(value)
        if owner is None:
            if isinstance(value.type, ir.MemRefType):
                found.add(ir.BlockArgument(value).arg_number)
        elif owner.name == "memref.load":
            pending.append(owner.operands[0])
        elif owner.name == "memref.alloca":
            users = [use.owner.operation for use in value.uses]
            pending += [user.operands[0] for user in users if user.name == "memref.store"]
        elif owner.name not in ("arith.andi", "arith.cmpi"):
            pending += owner.operands
    return sorted(found)


_SHIFTS = ("arith.shli", "arith.shrsi", "arith.shrui")


def _calls(module: ir.Operation) -> list[tuple[Any, str, list[ir.Value], ir.Operation]]:
    """The calls of @main: itself, the kernel, the operands, the call."""
    return [
        (function, to_python(view.operation.attributes["callee"]), list(view.operation.operands), view.operation)
        for function in module.regions[0].blocks[0].operations
        if isinstance(function, func.FuncOp) and function.name.value == "main"
        for view in function.entry_block.operations
        if view.operation.name == "func.call"
    ]


def _symbol(main: func.FuncOp, memory: ir.Value) -> str | None:
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
