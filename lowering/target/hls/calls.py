"""Who calls what with which memory, in a module whose functions take memory."""

from __future__ import annotations

from typing import Any

from terrace.dialects.base import to_python
from terrace.lowering.target.hls.memory_attributes import copies_of, partition_of
from terrace.mlir import func, ir, operation_of, walk
from terrace.passes import fail


def root_of(memory: ir.Value) -> ir.Value:
    """The memory that a view is of."""
    owner = operation_of(memory)
    return root_of(owner.operands[0]) if owner is not None and owner.name == "memref.reinterpret_cast" else memory


def is_weight_on_chip(memory: ir.Value) -> bool:
    """Whether a memory is a memref.global, or a view of one."""
    owner = operation_of(root_of(memory))
    return owner is not None and owner.name == "memref.get_global"


def users_of_memory(memory: ir.Value) -> list[tuple[ir.Operation, int]]:
    """The ops that take a memory, or a view of it, and the number of the operand."""
    users: list[tuple[ir.Operation, int]] = []
    for use in memory.uses:
        user = use.owner.operation
        if user.name == "memref.reinterpret_cast":
            users += users_of_memory(user.results[0])
        else:
            users.append((user, use.operand_number))
    return users


def callee_of(call: ir.Operation) -> Any:
    """The function that a call names. Raises PassError if the module has none of that name with a body."""
    module = call.parent.operation.parent.operation
    for view in module.regions[0].blocks[0].operations:
        is_function = isinstance(view, func.FuncOp)
        if is_function and view.name.value == to_python(call.attributes["callee"]) and not view.is_external:
            return view
    raise fail(call, "calls a function without a body")


def calls_of(function: func.FuncOp) -> list[ir.Operation]:
    """All calls of a function."""
    module = function.operation.parent.operation
    name = function.name.value
    return [op for op in walk(module) if op.name == "func.call" and to_python(op.attributes["callee"]) == name]


def argument_partition(user: tuple[ir.Operation, int]) -> dict[str, Any] | None:
    """The partition of the argument as which a call takes a memory."""
    argument = _argument(user)
    return None if argument is None else partition_of(argument) or None


def argument_copies(user: tuple[ir.Operation, int]) -> int:
    """How often the argument as which a call takes a memory is there."""
    argument = _argument(user)
    return 1 if argument is None else copies_of(argument)


def _argument(user: tuple[ir.Operation, int]) -> ir.Value | None:
    call, number = user
    return callee_of(call).entry_block.arguments[number] if call.name == "func.call" else None


def may_write(operation: ir.Operation, memory: ir.Value) -> bool:
    """Whether an op that uses a memory, or a view of it, may write to it."""
    if operation.name in ("memref.store", "memref.copy"):
        return operation.operands[1] == memory
    if operation.name == "memref.reinterpret_cast":
        view = operation.results[0]
        return any(may_write(use.owner.operation, view) for use in view.uses)
    if operation.name == "func.call":
        return any(a == memory and callee_writes(operation, i) for i, a in enumerate(operation.operands))
    return operation.name != "memref.load"


def callee_writes(call: ir.Operation, argument: int) -> bool:
    """Whether the function that is called may write to an argument."""
    memory = callee_of(call).entry_block.arguments[argument]
    return any(may_write(use.owner.operation, memory) for use in memory.uses)
