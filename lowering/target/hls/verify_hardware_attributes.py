"""`verify-hardware-attributes`: refuses pipelining, unrolling and banking that loops and addresses contradict.

C simulation runs the same with or without these attributes, so a wrong one would show in hardware only. Cyclic banks
must be known when the circuit is made: element i is in bank i mod factor, so the copies of an unrolled body find their
elements in banks of their own only if every other part of the address is a multiple of the factor.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from terrace.dialects.base import AttributeValue, entries_of, shape_of, to_python
from terrace.dialects.hardware import (
    COPIES,
    DATAFLOW,
    HARDWARE_ATTRIBUTES,
    PARTITION,
    PARTITION_KINDS,
    PIPELINE,
    RANGE,
    STREAM,
    UNROLL,
)
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL
from terrace.lowering.target.hls.addresses import trip_count
from terrace.lowering.target.hls.calls import argument_partition, callee_of, calls_of, users_of_memory
from terrace.lowering.target.hls.convert_loop_to_hls import INPUTS, PORT
from terrace.lowering.target.hls.numbers import NUMBER_FORMAT
from terrace.lowering.target.hls.reach import reach_of
from terrace.lowering.target.hls.stream_order import is_sequential, is_stream
from terrace.mlir import func, ir, walk
from terrace.passes import Pass, fail

MEMORY_OPS = ("memref.load", "memref.store")
DATAFLOW_OPS = (
    "arith.constant",
    "func.call",
    "func.return",
    "memref.alloc",
    "memref.get_global",
    "memref.reinterpret_cast",
)


def _positive(operation: ir.Operation, name: str) -> int:
    value = to_python(operation.attributes[name])
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise fail(operation, f"attribute '{name}' must be a positive integer, got {operation.attributes[name]}")
    return value


def _require_loop(operation: ir.Operation, name: str) -> None:
    if operation.name != "scf.for":
        raise fail(operation, f"attribute '{name}' is for scf.for; remove it")


def _check_unroll(operation: ir.Operation) -> None:
    _require_loop(operation, UNROLL)
    factor, trips = _positive(operation, UNROLL), trip_count(operation)
    if trips is None:
        raise fail(operation, "cannot be unrolled: its trip count is not static")
    if trips % factor:
        raise fail(operation, f"cannot be unrolled by {factor}, which does not divide its {trips} iterations")


def _check_pipeline(operation: ir.Operation) -> None:
    _require_loop(operation, PIPELINE)
    _positive(operation, PIPELINE)
    for inner in walk(operation):
        if inner.name != "scf.for":
            continue
        trips = trip_count(inner)
        if trips is None or UNROLL not in inner.attributes or to_python(inner.attributes[UNROLL]) != trips:
            raise fail(inner, "stands in a pipelined loop, so it must be unrolled whole (loop.unroll = trip count)")


def _check_partition(memory: ir.Value, operation: ir.Operation, spec: AttributeValue) -> None:
    """`spec` is the partition of `memory`, which `operation` makes or takes."""
    if not isinstance(spec, dict) or not {"kind", "dim"} <= spec.keys() <= {"kind", "dim", "factor"}:
        raise fail(operation, f"attribute '{PARTITION}' must be a dictionary of kind, dim and factor")
    kind, dim, factor = spec["kind"], spec["dim"], spec.get("factor")
    if not isinstance(dim, int) or not isinstance(factor, (int, type(None))):
        raise fail(operation, f"attribute '{PARTITION}' must have integers as dim and factor")
    shape = shape_of(memory)
    if kind not in PARTITION_KINDS:
        raise fail(operation, f"partition kind must be one of {', '.join(PARTITION_KINDS)}, got '{kind}'")
    if not 0 <= dim <= len(shape) or (dim == 0 and kind != "complete"):
        raise fail(operation, f"partition dim {dim} is out of range 1 to {len(shape)}; 0 is for complete only")
    if (kind == "complete") != (factor is None):
        raise fail(operation, f"partition kind '{kind}' takes {'no' if kind == 'complete' else 'a'} factor")
    if factor is None:
        return
    # Arguments and buffers are flat in C++ and in circuits: cyclic banks of the last dimension may go over rows.
    is_flat = kind == "cyclic" and dim == len(shape) and operation.name in ("func.func", "memref.alloc")
    size = math.prod(shape) if is_flat else shape[dim - 1]
    if factor < 2 or size % factor:
        raise fail(operation, f"partition factor {factor} must be 2 or more and divide the size {size}")
    if kind == "cyclic":
        _check_banks(memory, dim - 1, factor)


def _check_copies(operation: ir.Operation) -> None:
    if operation.name not in ("memref.alloca", "memref.alloc"):
        raise fail(operation, f"attribute '{COPIES}' is for arrays (memref.alloca, memref.alloc, arguments)")
    _positive(operation, COPIES)


def _check_banks(memory: ir.Value, dim: int, factor: int) -> None:
    """Every access that differs among the copies of an unrolled body must find each copy's bank without a division."""
    is_last = dim == len(shape_of(memory)) - 1
    for operation in [use.owner.operation for use in memory.uses if use.owner.operation.name in MEMORY_OPS]:
        reach = reach_of(operation, None if is_last else dim)
        if reach is None:
            raise fail(operation, f"has an address that is not affine, which cyclic banks of {factor} need")
        if len(reach.offsets) > 1 and not reach.fits(factor):
            moves = next(stride for stride in reach.strides if stride % factor)
            raise fail(
                operation,
                f"moves by {moves} elements from one iteration to the next of a loop, which is no multiple of the"
                f" {factor} cyclic banks: a copy of the unrolled body would change banks; choose another factor",
            )


def dataflow_refusal(function: ir.Operation) -> tuple[ir.Operation, str] | None:
    """Why a function's calls cannot run at once: a buffer needs one call that writes it and one that reads it, and an
    argument one call."""
    block = function.regions[0].blocks[0]
    for view in block.operations:
        operation = view.operation
        if operation.name not in DATAFLOW_OPS:
            return operation, "cannot stand in a dataflow function, which holds buffers and calls only"
        if operation.name == "memref.alloc" and len(users_of_memory(operation.results[0])) != 2:
            return operation, "needs one call that writes it and one that reads it in a dataflow function"
    for number, argument in enumerate(block.arguments):
        if len(users_of_memory(argument)) > 1:
            return function, f"gives argument {number} to several calls, of which a dataflow function may have one"
    return None


def _check_dataflow(function: ir.Operation) -> None:
    if function.name != "func.func":
        raise fail(function, f"attribute '{DATAFLOW}' is for func.func; remove it")
    refusal = dataflow_refusal(function)
    if refusal is not None:
        raise fail(*refusal)


def _check_stream(operation: ir.Operation) -> None:
    _positive(operation, STREAM)
    parent = operation.parent.operation
    if operation.name != "memref.alloc" or DATAFLOW not in parent.attributes:
        raise fail(operation, f"attribute '{STREAM}' is for memref.alloc in a function with '{DATAFLOW}'")
    for user, number in users_of_memory(operation.results[0]):
        _check_queue(user, number)


def _check_queue(user: ir.Operation, number: int) -> None:
    """A call that is given a queue goes through it in order, and all calls of that function are given one."""
    if user.name != "func.call" or not is_sequential(callee_of(user), number):
        raise fail(user, f"does not go through argument {number} once, in order, as '{STREAM}' needs; remove it")
    if argument_partition((user, number)) is not None:
        raise fail(user, f"gives a queue as argument {number}, which has banks; remove '{PARTITION}'")
    for call in calls_of(callee_of(user)):
        if not is_stream(call.operands[number]):
            raise fail(call, f"gives an array as argument {number}, which another call of the function has as a queue")


KNOWN = {*HARDWARE_ATTRIBUTES, LOOP_KERNEL, INPUTS, PORT, NUMBER_FORMAT}
"""The attributes of ours at the level "hls"."""

_CHECKS = {
    COPIES: _check_copies,
    DATAFLOW: _check_dataflow,
    PIPELINE: _check_pipeline,
    STREAM: _check_stream,
    UNROLL: _check_unroll,
}


def _check_names(operation: ir.Operation, names: Iterable[str]) -> None:
    """Refuse attributes of ours that nothing knows: a misspelled one would change no hardware without a word."""
    for name in names:
        if name.startswith(("loop.", "hls.")) and name not in KNOWN:
            raise fail(operation, f"has an attribute '{name}', which nothing reads; known: {', '.join(sorted(KNOWN))}")


def _check(operation: ir.Operation) -> None:
    for name, check in _CHECKS.items():
        if name in operation.attributes:
            check(operation)
    if PARTITION in operation.attributes:
        if operation.name not in ("memref.alloca", "memref.alloc"):
            raise fail(operation, f"attribute '{PARTITION}' is for arrays (memref.alloca, memref.alloc, arguments)")
        _check_partition(operation.results[0], operation, to_python(operation.attributes[PARTITION]))


def _check_arguments(function: func.FuncOp) -> None:
    if "arg_attrs" not in function.attributes or function.is_external:
        return
    for argument, attributes in zip(function.entry_block.arguments, function.arg_attrs, strict=True):
        _check_names(function.operation, entries_of(attributes))
        spec = to_python(attributes).get(PARTITION)
        if spec is not None:
            _check_partition(argument, function.operation, spec)
        copies = to_python(attributes).get(COPIES, 1)
        if not isinstance(copies, int) or isinstance(copies, bool) or copies < 1:
            raise fail(function, f"attribute '{COPIES}' must be a positive integer, got {attributes[COPIES]}")
        if RANGE in attributes:
            _check_range(function.operation, ir.MemRefType(argument.type).element_type, to_python(attributes[RANGE]))
        if STREAM in attributes:
            _check_port(function.operation, argument)


def _check_range(function: ir.Operation, element: ir.Type, given: AttributeValue) -> None:
    """A range is one of numbers that the elements can be."""
    most = (1 << (element.width - 1)) - 1 if isinstance(element, ir.IntegerType) else -1
    numbers = given if isinstance(given, list) and all(isinstance(n, int) for n in given) else []
    if len(numbers) != 2 or not -most - 1 <= numbers[0] <= numbers[1] <= most:
        raise fail(function, f"attribute '{RANGE}' must be two integers of {element}, the lower one first, got {given}")


def _check_port(function: ir.Operation, argument: ir.Value) -> None:
    """A port that is a queue is one call's."""
    users = users_of_memory(argument)
    if len(users) != 1:
        raise fail(function, f"gives an argument with '{STREAM}' to {len(users)} calls; a queue has one")
    _check_queue(*users[0])


@dataclasses.dataclass(frozen=True)
class VerifyHardwareAttributes(Pass):
    """Check the hardware attributes of loops and arrays against trip counts and addresses."""

    name = "verify-hardware-attributes"

    def run(self, module: ir.Operation) -> None:
        for operation in walk(module):
            if isinstance(operation.opview, func.FuncOp):
                _check_arguments(operation.opview)
            _check_names(operation, dict(operation.attributes.items()))
            _check(operation)
