"""What IREE must not look through: barriers in @main, where its fusion or its analysis goes wrong."""

from __future__ import annotations

from collections.abc import Callable

from terrace.dialects.base import DYNAMIC, shape_of
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.lowering.target.iree import syntax
from terrace.lowering.target.iree.fold_slices_into_extracts import is_of_slice
from terrace.mlir import ir, operation_of, source_of, walk

_LONGEST_CHAIN = 16
"""Of tensors inserted in one another."""

VIEWS = ("tensor.cast", "tensor.collapse_shape", "tensor.expand_shape", "tensor.extract_slice", "tensor.reshape")


def keep_scatters_apart(main: ir.Operation) -> None:
    """IREE fuses a scatter with what makes its operands, and with padding of its result.

    The scatter is done in place: what is computed from the tensor that it writes to would read what it has written. And
    with slices and padding IREE fails.
    """
    for operation in [op for op in walk(main) if op.name == "tm_tensor.scatter"]:
        *inputs, target = operation.operands
        memory = source_of(target, VIEWS)
        for number, operand in enumerate(inputs):
            if source_of(operand, VIEWS) == memory:
                _put_between(_copied, operation, number)
                _put_between(syntax.hidden, operation, number)
            elif is_of_slice(operation.operands[number]) or _reads(operand, memory):
                _put_between(syntax.stay_apart, operation, number)
        if is_of_slice(target):
            _put_between(syntax.stay_apart, operation, len(inputs))
        for user in [use.owner.operation for use in operation.results[0].uses]:
            if user.name == "tensor.pad":
                _put_between(syntax.stay_apart, user, 0)


def _put_between(barrier: Callable[[ir.Value], ir.Value], operation: ir.Operation, number: int) -> None:
    """Put a barrier between an operand and what makes it."""
    with ir.InsertionPoint(operation), operation.location:
        operation.operands[number] = barrier(operation.operands[number])


def _copied(value: ir.Value) -> ir.Value:
    """The elements of a tensor in memory of their own: a part of a larger one, as IREE leaves a mere copy out."""
    rank = len(shape_of(value))
    larger = b.pad(value, [0] * rank, [*[0] * (rank - 1), 1], 0)
    return b.extract_slice(larger, [0] * rank, b.sizes_of(value), [1] * rank)


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


def keep_carried_values_apart(main: ir.Operation) -> None:
    """IREE forgets where in a shared allocation a tensor lies that a loop or a branch hands on, and reads another one.

    That was seen of sizes that a view has multiplied, and of several loops, one after the other (two sorts). Behind a
    barrier a tensor has an allocation of its own.
    """
    found = list(walk(main))
    handing_on = [op for op in found if op.name in ("scf.for", "scf.if", "scf.while")]
    several = sum(any(map(_is_dynamic, op.results)) for op in handing_on) > 1
    if not several and not any(op.name == "tensor.collapse_shape" and _multiplies_sizes(op) for op in found):
        return
    for operation in handing_on:
        blocks = [block for region in operation.regions for block in region]
        for hands_on in (operation, *(block.operations[len(block.operations) - 1].operation for block in blocks)):
            for number in [number for number, operand in enumerate(hands_on.operands) if _is_dynamic(operand)]:
                _put_between(syntax.hidden, hands_on, number)


def _is_dynamic(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType) and not value.type.has_static_shape


def _multiplies_sizes(collapse: ir.Operation) -> bool:
    """Whether a size of the result is the product of several that are not known."""
    (value,), (result,) = collapse.operands, collapse.results
    return shape_of(value).count(DYNAMIC) > shape_of(result).count(DYNAMIC)


def cut_chains_of_slices(main: ir.Operation) -> None:
    """Cut chains of tensors inserted in one another: IREE's analysis of memory gives up after so many steps.

    Behind a cut nobody uses the tensor before it, which IREE does not know to be in the same memory.
    """
    depth: dict[ir.Value, int] = {}
    for operation in list(walk(main)):
        if not operation.name.startswith("tensor.") or not operation.results:
            continue
        result = operation.results[0]
        inserts = operation.name == "tensor.insert_slice"
        depth[result] = max((depth.get(operand, 0) for operand in operation.operands), default=0) + inserts
        if inserts and depth[result] == _LONGEST_CHAIN:
            with ir.InsertionPoint.after(operation), operation.location:
                syntax.hide(result)
