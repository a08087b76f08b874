"""How many cycles a design takes, predicted from its loops and their attributes. Pure functions of the IR.

A pipelined loop starts an iteration every II cycles and ends with the latency of its last; a loop that is not runs one
iteration after another; an unrolled one is its copies in a row of operators, or beside each other where they share
nothing. Conditions take their longer branch. Stalls of memory outside the device are not counted.
"""

from __future__ import annotations

import math

from terrace.dialects.base import to_python
from terrace.dialects.hardware import DATAFLOW, PIPELINE
from terrace.lowering.target.hls.addresses import body_copies, flattened, is_register, trip_count
from terrace.lowering.target.hls.calls import callee_of
from terrace.lowering.target.hls.resources import format_of
from terrace.mlir import func, ir, walk

FLOAT_CYCLES = {
    "arith.addf": 4, "arith.cmpf": 1, "arith.divf": 12, "arith.maximumf": 1, "arith.minimumf": 1, "arith.mulf": 3,
    "arith.subf": 4, "math.cos": 25, "math.erf": 30, "math.exp": 15, "math.expm1": 20,
    "math.fma": 7, "math.log": 15, "math.log1p": 20, "math.powf": 40,
    "math.rsqrt": 24, "math.sin": 25, "math.sqrt": 12, "math.tanh": 30,
}  # fmt: skip
"""Cycles of float32 operators at 200 MHz, about those of AMD's floating-point operators; functions are guesses."""

FIXED_CYCLES = {"arith.mulf": 1, "arith.muli": 1, "math.fma": 1}
"""Cycles of operators on integers and in fixed point; others end within the cycle of what comes before."""

FLOAT_ONLY = ("arith.divf", "math.cos", "math.erf", "math.exp", "math.expm1", "math.log", "math.log1p",
              "math.powf", "math.rsqrt", "math.sin", "math.sqrt", "math.tanh")  # fmt: skip
"""What is computed in float32 whatever the format."""

LOAD_CYCLES = 2
"""From an address to the element of a block RAM."""

LOOP_CYCLES = 1
"""To enter and leave a loop."""


def design_cycles(module: ir.Operation) -> int | None:
    """The cycles of one run; None if a loop's trip count is not known. With dataflow, those between two results."""
    cycles = kernel_cycles(module)
    for view in module.regions[0].blocks[0].operations:
        if isinstance(view, func.FuncOp) and view.name.value == "main":
            calls = [op for op in walk(view.operation) if op.name == "func.call"]
            own = [cycles[callee_of(call).name.value] for call in calls]
            known = [count for count in own if count is not None]
            if len(known) < len(own):
                return None
            return max(known, default=0) if DATAFLOW in view.attributes else sum(known)
    return None


def kernel_cycles(module: ir.Operation) -> dict[str, int | None]:
    """The cycles of one call of each kernel, by its name; None where a trip count is not known."""
    is_fixed = format_of(module) is not None
    found = {}
    for view in module.regions[0].blocks[0].operations:
        if isinstance(view, func.FuncOp) and view.name.value != "main" and not view.is_external:
            found[str(view.name.value)] = _block_cycles(view.entry_block, is_fixed)
    return found


def _block_cycles(block: ir.Block, is_fixed: bool) -> int | None:
    """Statements one after another."""
    total = 0
    for view in block.operations:
        operation = view.operation
        if operation.name == "scf.for":
            cycles = _loop_cycles(operation, is_fixed)
        elif operation.name == "scf.if":
            branches = [_block_cycles(b, is_fixed) for region in operation.regions for b in region.blocks]
            known = [count for count in branches if count is not None]
            cycles = max(known, default=0) if len(known) == len(branches) else None
        else:
            continue
        if cycles is None:
            return None
        total += cycles
    return total + _depth(block, is_fixed)


def _loop_cycles(loop: ir.Operation, is_fixed: bool) -> int | None:
    trips = trip_count(loop)
    if trips is None:
        return None
    copies = body_copies(loop)
    body = _block_cycles(loop.regions[0].blocks[0], is_fixed)
    if body is None or trips == 0:
        return body if trips else 0
    turns = trips // copies
    nest = flattened(loop)
    if len(nest) > 1:
        inner = nest[-1]
        copies = body_copies(inner)
        turns = math.prod(trip_count(each) or 0 for each in nest) // copies
        body = _block_cycles(inner.regions[0].blocks[0], is_fixed)
        return None if body is None else int(to_python(inner.attributes[PIPELINE])) * (turns - 1) + body + LOOP_CYCLES
    if PIPELINE in loop.attributes:
        return int(to_python(loop.attributes[PIPELINE])) * (turns - 1) + body + LOOP_CYCLES
    return body if turns == 1 else turns * (body + LOOP_CYCLES)


def _depth(block: ir.Block, is_fixed: bool) -> int:
    """Cycles of the longest chain of operators in the statements of a block, at least 1 where anything is stored."""
    ready: dict[ir.Value, int] = {}
    longest = 0
    for view in block.operations:
        operation = view.operation
        if operation.name in ("scf.for", "scf.if", "scf.yield", "func.return"):
            continue
        start = max((ready.get(value, 0) for value in operation.operands), default=0)
        end = start + _operator_cycles(operation, is_fixed)
        longest = max(longest, end)
        ready.update(dict.fromkeys(operation.results, end))
    return longest


def _operator_cycles(operation: ir.Operation, is_fixed: bool) -> int:
    if operation.name in ("memref.load", "memref.store"):
        memory = operation.operands[0 if operation.name == "memref.load" else 1]
        return 1 if operation.name == "memref.store" or is_register(memory) else LOAD_CYCLES
    if any(isinstance(value.type, ir.IndexType) for value in operation.results):
        return 0
    if is_fixed and operation.name not in FLOAT_ONLY:
        return FIXED_CYCLES.get(operation.name, 0)
    return FLOAT_CYCLES.get(operation.name, FIXED_CYCLES.get(operation.name, 0))
