"""The report of a design: per kernel its multiply-adds, predicted cycles and loops, and what memory all of it takes."""

from __future__ import annotations

from terrace.dialects.base import to_python
from terrace.dialects.hardware import PIPELINE, STREAM, UNROLL
from terrace.lowering.target.hls.addresses import (
    body_copies,
    bounds_of,
    constant_index,
    is_register,
    loops_in,
    trip_count,
)
from terrace.lowering.target.hls.latency import design_cycles, kernel_cycles
from terrace.lowering.target.hls.resources import design_blocks, dsp_blocks, format_of
from terrace.mlir import func, ir, operation_of, walk
from terrace.number_format import FixedPoint


def report(module: ir.Operation) -> str:
    """The whole design, then for each kernel its loops: trip counts, pragmas, DSP blocks."""
    cycles, kernels = kernel_cycles(module), []
    for view in module.regions[0].blocks[0].operations:
        if isinstance(view, func.FuncOp) and view.name.value != "main":
            predicted, products = cycles.get(view.name.value), multiply_adds(view)
            kernels.append(
                f"kernel {view.name.value}: {_shown(products)} multiply-adds, {_shown(predicted)} cycles predicted"
            )
            for number, loop in enumerate(loops_in(view.entry_block), 1):
                kernels += _loop_lines(loop, f"loop_{number}", 1)
    return "\n".join([*_design_lines(module), *kernels]) + "\n"


def _shown(number: int | None) -> str:
    return "an unknown number of" if number is None else str(number)


def _design_lines(module: ir.Operation) -> list[str]:
    format_ = format_of(module)
    queues = sum(op.name == "memref.alloc" and STREAM in op.attributes for op in walk(module))
    return [
        f"numbers: {', '.join(_numbers(module, format_))}",
        f"cycles between two results, predicted: {_shown(design_cycles(module))}",
        f"block RAM of 36 Kb, estimated: {design_blocks(module) / 2:g}",
        f"queues between kernels: {queues}",
    ]


def _numbers(module: ir.Operation, format_: FixedPoint | None) -> list[str]:
    """The types of the elements that kernels take and give, the narrowest first."""
    kernels = [v for v in module.regions[0].blocks[0].operations if isinstance(v, func.FuncOp)]
    types = {ir.MemRefType(a.type).element_type for kernel in kernels for a in kernel.entry_block.arguments}
    integers = sorted(type_.width for type_ in types if isinstance(type_, ir.IntegerType))
    floats = [] if len(integers) == len(types) else ["float32" if format_ is None else format_.text]
    return [*(f"i{width}" for width in integers), *floats]


def _loop_lines(loop: ir.Operation, label: str, depth: int) -> list[str]:
    trips = trip_count(loop)
    copies = body_copies(loop)
    said = [f"{trips if trips is not None else '?'} iterations"]
    if PIPELINE in loop.attributes:
        said.append(f"pipelined, II={to_python(loop.attributes[PIPELINE])}")
    if UNROLL in loop.attributes:
        said.append(f"unrolled by {copies}")
    if PIPELINE in loop.attributes:
        # Operators that start every II cycles are shared.
        said.append(f"{-(-dsp_blocks(loop) * copies // to_python(loop.attributes[PIPELINE]))} DSP blocks")
    lines = [f"{'  ' * depth}{label}: {', '.join(said)}"]
    for number, inner in enumerate(loops_in(loop.regions[0].blocks[0]), 1):
        lines += _loop_lines(inner, f"{label}_{number}", depth + 1)
    return lines


def multiply_adds(function: func.FuncOp) -> int | None:
    """How often a kernel's multiply-adds run; None if a loop's trip count is not known."""
    total = 0
    for operation in filter(_is_multiply_add, walk(function.operation)):
        times, child, parent = 1, operation, operation.parent
        ends: dict[ir.Value, int] = {}
        while parent is not None and parent.operation.name != "func.func":
            loop = parent.operation
            if loop.name == "scf.if":
                is_then = child.block == loop.regions[0].blocks[0]
                ends.update(bounds_of(loop.operands[0]) if is_then else [])
            if loop.name == "scf.for":
                trips = trip_count(loop)
                if trips is None:
                    return None
                below = _trips_below(loop, ends.get(loop.regions[0].blocks[0].arguments[0]))
                times *= trips if below is None else min(trips, below)
            child, parent = loop, loop.parent
        total += times
    return total


def _trips_below(loop: ir.Operation, end: int | None) -> int | None:
    """How many of a loop's indices are below `end`."""
    start, step = (constant_index(loop.operands[number]) for number in (0, 2))
    return None if end is None or start is None or step is None else max(0, -(-(end - start) // step))


def _is_multiply_add(operation: ir.Operation) -> bool:
    """Whether an op is a fused multiply-add, or a product of integers that is added to a sum in a register.

    Products that requantise, or make indices, are none.
    """
    if operation.name != "arith.muli" or isinstance(operation.results[0].type, ir.IndexType):
        return operation.name == "math.fma"
    return any(_adds_to_sum(use.owner.operation) for use in operation.results[0].uses)


def _adds_to_sum(operation: ir.Operation) -> bool:
    """Whether an addition, or one that its result goes to, has a term from a register."""
    if operation.name != "arith.addi":
        return False
    if any(map(_is_sum, operation.operands)):
        return True
    return any(_adds_to_sum(use.owner.operation) for use in operation.results[0].uses)


def _is_sum(value: ir.Value) -> bool:
    """Whether a value is that of a register, or has it as a term."""
    owner = operation_of(value)
    if owner is not None and owner.name == "arith.addi":
        return any(map(_is_sum, owner.operands))
    return owner is not None and owner.name == "memref.load" and is_register(owner.operands[0])
