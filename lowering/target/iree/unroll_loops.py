"""`unroll-loops`: counted loops over tensors take several steps a turn.

IREE records the work of a turn, makes room for what the loop carries, and copies what it has stacked so far: as much
time as dozens of small kernels take. How many steps a turn has depends on the work of a step: a turn of much work gains
nothing, and each launch costs time to compile.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from terrace.dialects.base import to_python
from terrace.mlir import arith, ir, operation_of, scf, walk
from terrace.passes import Pass

MOST_STEPS = 16
MOST_WORK, MOST_OF_ALL = 80, 320
"""Launches, and ops that IREE makes kernels of, in a turn, and in the turns of all loops: they take time to compile."""

WORK = ("func.call", "linalg.", "tm_tensor.")


def is_over_tensors(operation: ir.Operation) -> bool:
    """Whether it is a loop of the program, which carries tensors; those of kernels carry vectors, or nothing."""
    types = [value.type for value in operation.results]
    return operation.name == "scf.for" and bool(types) and all(isinstance(t, ir.RankedTensorType) for t in types)


def steps_of(loop: ir.Operation, most_work: int) -> int:
    """How many steps a turn of `loop` should have; 1 for what is none of ours, or holds other control flow."""
    body = list(walk(loop))
    if any(op.name.startswith("scf.") and op.name != "scf.yield" for op in body):
        return 1
    if number_of(loop.operands[0]) != 0 or number_of(loop.operands[2]) != 1:
        return 1
    work = sum(op.name.startswith(WORK) for op in body)
    return min(MOST_STEPS, max(most_work // work, 1)) if work else 1


def number_of(value: ir.Value) -> int | None:
    """The number that a constant index is."""
    operation = operation_of(value)
    is_constant = operation is not None and operation.name == "arith.constant"
    return to_python(operation.attributes["value"]) if operation is not None and is_constant else None


def index(number: int) -> ir.Value:
    return arith.constant(ir.IndexType.get(), number)


def unroll(loop: ir.Operation, steps: int) -> None:
    """Let a turn of `loop` take so many steps; those that are left follow it, in a loop if nobody knows how many."""
    count = number_of(loop.operands[1])
    values = list(loop.operands)[3:]
    with ir.InsertionPoint(loop), loop.location:
        if count is None:
            whole = arith.subi(loop.operands[1], arith.remui(loop.operands[1], index(steps)))
        else:
            whole = index(count - count % steps)
        if count is None or count >= 2 * steps:
            turns = scf.ForOp(index(0), whole, index(steps), values)
            with ir.InsertionPoint(turns.body):
                inner = list(turns.inner_iter_args)
                for step in range(steps):
                    inner = take_step(loop, arith.addi(turns.induction_variable, index(step)), inner)
                scf.YieldOp(inner)
            values, first = list(turns.results), (count or 0) - (count or 0) % steps
        else:
            first = 0
        if count is None:
            loop.operands[0] = whole
            for number, value in enumerate(values):
                loop.operands[3 + number] = value
            return
        for step in range(first, count):
            values = take_step(loop, index(step), values)
    for result, value in zip(loop.results, values, strict=True):
        result.replace_all_uses_with(value)
    loop.erase()


def take_step(loop: ir.Operation, number: ir.Value, carried: Sequence[ir.Value]) -> list[ir.Value]:
    """The body of `loop` once more, at the insertion point; what it carries on."""
    block = loop.regions[0].blocks[0]
    values = dict(zip(block.arguments, [number, *carried], strict=True))
    *body, end = [view.operation for view in block.operations]
    for operation in body:
        copy = operation.clone().operation
        for one in (*walk(copy), copy):
            replace_operands(one, values)
        values.update(zip(operation.results, copy.results, strict=True))
    return [values.get(value, value) for value in end.operands]


def replace_operands(operation: ir.Operation, values: Mapping[ir.Value, ir.Value]) -> None:
    for number, operand in enumerate(operation.operands):
        if operand in values:
            operation.operands[number] = values[operand]


@dataclasses.dataclass(frozen=True)
class UnrollLoops(Pass):
    """Let loops over tensors take several steps a turn."""

    name = "unroll-loops"

    def run(self, module: ir.Operation) -> None:
        loops = [op for op in walk(module) if is_over_tensors(op)]
        for loop in loops:
            steps = steps_of(loop, min(MOST_WORK, MOST_OF_ALL // len(loops)))
            if steps > 1:
                unroll(loop, steps)
