"""The report of a design: per kernel its multiply-adds, predicted cycles and loops, and what memory all of it takes."""

from __future__ import annotations

from terrace.dialects.base import to_python
from terrace.dialects.hardware import PIPELINE, STREAM, UNROLL
from terrace.lowering.target.hls.addresses import loops_in, trip_count
from terrace.lowering.target.hls.latency import design_cycles, kernel_cycles
from terrace.lowering.target.hls.resources import design_blocks, format_of
from terrace.lowering.target.hls.set_hardware_attributes import dsp_blocks
from terrace.mlir import func, ir, walk


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
        f"numbers: {'float32' if format_ is None else format_.text}",
        f"cycles between two results, predicted: {_shown(design_cycles(module))}",
        f"block RAM of 36 Kb, estimated: {design_blocks(module) / 2:g}",
        f"queues between kernels: {queues}",
    ]


def _loop_lines(loop: ir.Operation, label: str, depth: int) -> list[str]:
    trips = trip_count(loop)
    copies = to_python(loop.attributes[UNROLL]) if UNROLL in loop.attributes else 1
    said = [f"{trips if trips is not None else '?'} iterations"]
    if PIPELINE in loop.attributes:
        said.append(f"pipelined, II={to_python(loop.attributes[PIPELINE])}")
    if UNROLL in loop.attributes:
        said.append(f"unrolled by {copies}")
    if PIPELINE in loop.attributes:
        said.append(f"{dsp_blocks(loop) * copies} DSP blocks")
    lines = [f"{'  ' * depth}{label}: {', '.join(said)}"]
    for number, inner in enumerate(loops_in(loop.regions[0].blocks[0]), 1):
        lines += _loop_lines(inner, f"{label}_{number}", depth + 1)
    return lines


def multiply_adds(function: func.FuncOp) -> int | None:
    """How often a kernel's multiply-adds run; None if a loop's trip count is not known."""
    total = 0
    for operation in filter(_is_multiply_add, walk(function.operation)):
        times, parent = 1, operation.parent
        while parent is not None and parent.operation.name != "func.func":
            if parent.operation.name == "scf.for":
                trips = trip_count(parent.operation)
                if trips is None:
                    return None
                times *= trips
            parent = parent.operation.parent
        total += times
    return total


def _is_multiply_add(operation: ir.Operation) -> bool:
    """Whether an op is a fused multiply-add, or a product of integers that is added to something."""
    users = [use.owner.operation.name for use in operation.results[0].uses] if operation.name == "arith.muli" else []
    is_index = bool(users) and isinstance(operation.results[0].type, ir.IndexType)
    return operation.name == "math.fma" or ("arith.addi" in users and not is_index)
