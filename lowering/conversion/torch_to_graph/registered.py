"""Lowerings that users register for custom ops of PyTorch: functions in graph-dialect builders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from terrace.dialects.base import ShapeError, compatible, element_type_of, shape_of
from terrace.lowering.conversion.torch_to_graph.torch_op import TorchOp, TypeTable, to_index, to_torch
from terrace.mlir import ir, tensor
from terrace.passes import fail
from terrace.rewriting import replace

Lowering = Callable[..., Any]
"""Takes the op's arguments in the order of its schema: tensors as graph values, numbers, strings and lists of them as
Python values, None, and numbers that are known only at the call as values of type index. Gives a value, or several."""

REGISTERED: dict[str, Lowering] = {}
"""By the name that the importer gives the op: "torch.mylib.swish"."""


def rewrite_registered(operation: ir.Operation, types: TypeTable) -> bool:
    """Replace a `torch.operator` by what the lowering registered for it gives; False if there is none."""
    op = TorchOp(operation, types)
    lowering = REGISTERED.get(op.name)
    if lowering is None:
        return False
    arguments = [argument(op, number) for number in range(len(operation.operands))]
    try:
        given = lowering(*arguments)
    except ShapeError as error:
        raise fail(operation, f"{described(op, lowering)} makes an op that is not valid: it {error}") from error
    values = list(given) if isinstance(given, (list, tuple)) else [given]
    wanted = [types.builtin(result.type) for result in operation.results]
    if len(values) != len(wanted) or not all(isinstance(value, ir.Value) for value in values):
        raise fail(operation, f"{described(op, lowering)} must give {len(wanted)} graph values, and gives {given!r}")
    results = zip(values, wanted, operation.results, strict=True)
    return replace(operation.opview, *(checked(op, lowering, *result) for result in results))


def argument(op: TorchOp, number: int) -> Any:
    """An operand as the lowering takes it."""
    if op.is_tensor(number):
        return op.tensor(number)
    if op.is_none(number):
        return None
    for read in (op.number, op.string, op.integers, op.numbers):
        found = read(number)
        if found is not None:
            return found
    elements = op.elements(number)
    if elements is not None:
        return op.tensors(number)
    return to_index(op.value(number))


def described(op: TorchOp, lowering: Lowering) -> str:
    """The op and where its lowering stands."""
    code = lowering.__code__
    _, namespace, name = op.name.split(".", 2)
    return f"the lowering registered for '{namespace}::{name}' ({code.co_filename}:{code.co_firstlineno})"


def checked(op: TorchOp, lowering: Lowering, value: ir.Value, wanted: ir.Type | None, result: ir.Value) -> ir.Value:
    """`value` as the torch tensor that stands for `result`, which is as the op's fake implementation says."""
    is_tensor = isinstance(value.type, ir.RankedTensorType) and wanted is not None
    same_type = is_tensor and element_type_of(value) == element_type_of(wanted)
    if not same_type or not compatible(shape_of(value), shape_of(wanted)):
        raise op.refuse(
            f"{described(op, lowering)} gives {value.type}, where the op's fake implementation says {wanted}"
        )
    return to_torch(value if value.type == wanted else tensor.cast(wanted, value), result.type)
