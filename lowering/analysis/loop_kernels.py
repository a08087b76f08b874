"""The kernels of a module at the level "loop": functions of loops over memory, which the lowerings to targets read."""

from __future__ import annotations

from terrace.mlir import func, ir, operation_of
from terrace.passes import fail

LOOP_KERNEL = "loop.kernel"
"""The attribute that makes a function a kernel."""


def loop_kernels(module: ir.Operation) -> list[func.FuncOp]:
    """The functions of a module that are kernels. Refuses one without a body."""
    functions = [view for view in module.regions[0].blocks[0].operations if isinstance(view, func.FuncOp)]
    kernels = [function for function in functions if LOOP_KERNEL in function.attributes]
    for function in kernels:
        require_body(function)
    return kernels


def require_body(function: func.FuncOp) -> None:
    """Refuse a function that is only declared: nothing links it to another program's."""
    if function.is_external:
        raise fail(function, f"@{function.name.value} has no body; give the function that it stands for")


def argument_buffers(function: func.FuncOp) -> list[ir.Value]:
    """The memory of each tensor argument of a kernel. Refuses an argument that is not read by one loop.to_buffer."""
    buffers = []
    for argument in function.entry_block.arguments:
        if not isinstance(argument.type, ir.RankedTensorType):
            continue  # a size of a result
        users = [use.owner.operation for use in argument.uses]
        names = [user.name for user in users]
        if names != ["loop.to_buffer"]:
            raise fail(function, f"must read argument {argument.arg_number} by one loop.to_buffer, has {names}")
        buffers.append(users[0].results[0])
    return buffers


def result_buffers(function: func.FuncOp, in_place: bool = False) -> list[ir.Value]:
    """The memory of each result of a kernel: its own or, if `in_place`, that of an argument, which is updated.

    Refuses one that loop.to_tensor does not give.
    """
    entry = function.entry_block
    makers = ("memref.alloc", "loop.to_buffer") if in_place else ("memref.alloc",)
    buffers = []
    for value in entry.operations[len(entry.operations) - 1].operation.operands:
        tensor = operation_of(value)
        memory = None if tensor is None or tensor.name != "loop.to_tensor" else operation_of(tensor.operands[0])
        if memory is None or memory.name not in makers or memory.results[0] in buffers:
            raise fail(function, f"must return what loop.to_tensor gives of a {' or '.join(makers)} for each result")
        buffers.append(memory.results[0])
    return buffers
