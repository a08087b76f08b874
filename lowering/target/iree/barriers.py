"""What IREE must not look through: barriers in @main, where its fusion or its analysis goes wrong."""

from __future__ import annotations

from collections.abc import Callable

from terrace.lowering.target.iree import syntax
from terrace.mlir import ir, operation_of, walk

_LONGEST_CHAIN = 16
"""Of tensors inserted in one another."""

_VIEWS = ("tensor.cast", "tensor.collapse_shape", "tensor.expand_shape", "tensor.extract_slice", "tensor.reshape")


def keep_scatters_apart(main: ir.Operation) -> None:
    """IREE fuses a scatter with what makes its operands, and with padding of its result.

    The scatter is done in place: what is computed from the tensor that it writes to would read what it has written. And
    with slices and padding IREE fails.
    """
    for operation in [op for op in walk(main) if op.name == "tm_tensor.scatter"]:
        *inputs, target = operation.operands
        for number, operand in enumerate(operation.operands):
            if number < len(inputs) and _reads(operand, _whole(target)):
                _put_between(syntax.opaque, operation, number)
            elif _is_slice(operand):
                _put_between(syntax.stay_apart, operation, number)
        for user in [use.owner.operation for use in operation.results[0].uses]:
            if user.name == "tensor.pad":
                _put_between(syntax.stay_apart, user, 0)


def _put_between(barrier: Callable[[ir.Value], ir.Value], operation: ir.Operation, number: int) -> None:
    """Put a barrier between an operand and what makes it."""
    with ir.InsertionPoint(operation), operation.location:
        operation.operands[number] = barrier(operation.operands[number])


def _is_slice(value: ir.Value) -> bool:
    producer = operation_of(value)
    return producer is not None and producer.name == "tensor.extract_slice"


def _whole(value: ir.Value) -> ir.Value:
    """The tensor that `value` is a view of."""
    producer = operation_of(value)
    while producer is not None and producer.name in _VIEWS:
        value = producer.operands[0]
        producer = operation_of(value)
    return value


def _reads(value: ir.Value, memory: ir.Value) -> bool:
    """Whether `value` is computed from `memory` by what IREE may compute anew in a kernel of its own."""
    seen, pending = set[ir.Value](), [value]
    while pending:
        value = pending.pop()
        if value == memory:
            return True
        producer = operation_of(value)
        if value not in seen and producer is not None and producer.name != "flow.dispatch":
            seen.add(value)
            pending.extend(producer.operands)
    return False


def cut_chains_of_slices(main: ir.Operation) -> None:
    """Cut chains of tensors inserted in one another: IREE's analysis of memory gives up after so many steps."""
    depth: dict[ir.Value, int] = {}
    for operation in walk(main):
        if not operation.name.startswith("tensor.") or not operation.results:
            continue
        inserts = operation.name == "tensor.insert_slice"
        for number, operand in enumerate(operation.operands):
            if inserts and depth.get(operand) == _LONGEST_CHAIN:
                _put_between(syntax.opaque, operation, number)
        longest = max((depth.get(operand, 0) for operand in operation.operands), default=0)
        depth[operation.results[0]] = longest + inserts
