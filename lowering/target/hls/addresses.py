"""What loops and addresses of the array level are, for passes that choose or check hardware attributes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from terrace.dialects.base import to_python
from terrace.dialects.hardware import PARTITION, PIPELINE, UNROLL
from terrace.mlir import ir, operation_of, walk

Coefficients = dict[ir.Value, int]
"""How an affine index moves: the coefficient of each loop's index, or of a quotient or rest."""


def constant_index(value: ir.Value) -> int | None:
    """The number that an index is, if it is a constant."""
    operation = operation_of(value)
    if operation is None or operation.name != "arith.constant":
        return None
    return int(to_python(operation.attributes["value"]))


def trip_count(loop: ir.Operation) -> int | None:
    """How often an scf.for runs, if its bounds are constants."""
    lower, upper, step = (constant_index(v) for v in list(loop.operands)[:3])
    if lower is None or upper is None or step is None:
        return None
    return max(0, -(-(upper - lower) // step))


def coefficients(value: ir.Value) -> Coefficients | None:
    """An index as a linear function of the indices of loops, without what it is where these are 0; None when it is no
    such function.
    """
    found = affine(value)
    return None if found is None else found[0]


def affine(value: ir.Value) -> tuple[Coefficients, int] | None:
    """An index as a linear function of the indices of loops, and a constant; None when it is none."""
    operation = operation_of(value)
    if operation is None:
        return {value: 1}, 0
    if operation.name == "arith.constant":
        return {}, constant_index(value) or 0
    if operation.name in ("arith.divui", "arith.remui"):
        return {value: 1}, 0  # A part of its own: how it moves is not known.
    if operation.name not in ("arith.addi", "arith.muli", "arith.subi"):
        return None
    left, right = (affine(v) for v in operation.operands)
    if left is None or right is None:
        return None
    if operation.name == "arith.muli":
        return _product(operation, left, right)
    sign = -1 if operation.name == "arith.subi" else 1
    total = dict(left[0])
    for index, factor in right[0].items():
        total[index] = total.get(index, 0) + sign * factor
    return {index: factor for index, factor in total.items() if factor}, left[1] + sign * right[1]


def reads(value: ir.Value, index: ir.Value) -> bool:
    """Whether an index is computed from another."""
    operation = operation_of(value)
    return value == index or (operation is not None and any(reads(operand, index) for operand in operation.operands))


def _product(
    operation: ir.Operation, left: tuple[Coefficients, int], right: tuple[Coefficients, int]
) -> tuple[Coefficients, int] | None:
    for operand, (moves, constant) in ((operation.operands[0], right), (operation.operands[1], left)):
        number = constant_index(operand)
        if number is not None:
            return {index: factor * number for index, factor in moves.items() if number}, constant * number
    return None


@dataclasses.dataclass(frozen=True)
class Access:
    """One memref.load or memref.store."""

    operation: ir.Operation

    @property
    def memory(self) -> ir.Value:
        return self.operation.operands[0 if self.operation.name == "memref.load" else 1]

    @property
    def indices(self) -> list[ir.Value]:
        return list(self.operation.operands)[1 if self.operation.name == "memref.load" else 2 :]

    @property
    def is_store(self) -> bool:
        return self.operation.name == "memref.store"

    def depends_on(self, index: ir.Value) -> bool:
        """Whether the address changes with this loop's index; one that is not affine may."""
        return any(reads(value, index) for value in self.indices)


def flat_moves(access: Access) -> Coefficients | None:
    """How far an address moves, in elements, when each index grows by 1; None if it is not affine."""
    found = flat_address(access)
    return None if found is None else found[0]


def flat_address(access: Access) -> tuple[Coefficients, int] | None:
    """How far an address moves, in elements, when each index grows by 1, and what it is where all are 0; None if it is
    not affine.
    """
    shape, constant = list(ir.MemRefType(access.memory.type).shape), 0
    moves: Coefficients = {}
    for axis, value in enumerate(access.indices):
        found = affine(value)
        if found is None:
            return None
        inner = math.prod(shape[axis + 1 :])
        constant += found[1] * inner
        for index, factor in found[0].items():
            moves[index] = moves.get(index, 0) + factor * inner
    return moves, constant


def accesses(root: ir.Operation) -> Iterator[Access]:
    """All loads and stores in `root`."""
    for operation in walk(root):
        if operation.name in ("memref.load", "memref.store"):
            yield Access(operation)


def flattened(loop: ir.Operation) -> list[ir.Operation]:
    """A loop and those in it that run as one pipeline: a perfect nest, whose innermost loop is pipelined.

    Between loops there may be arithmetic. A nest that reads memory which it writes is none: an iteration may need what
    one of another outer index wrote. Nor is one that adds floats in registers, which takes several cycles. The loop
    alone if it is no such nest; hardware enters and leaves it each time.
    """
    nest = [loop]
    while PIPELINE not in nest[-1].attributes:
        body = [view.operation for view in nest[-1].regions[0].blocks[0].operations]
        inner = [op for op in body if op.name == "scf.for"]
        others = [op for op in body if op.name not in ("scf.for", "scf.yield") and not op.name.startswith("arith.")]
        # The copies of an unrolled outer loop hold a pipeline each.
        if len(inner) != 1 or others or UNROLL in nest[-1].attributes or not all(map(_iterates, (nest[-1], *inner))):
            return [loop]
        nest.append(inner[0])
    return nest if len(nest) == 1 or not (_rereads(loop) or _waits(loop)) else [loop]


def _iterates(loop: ir.Operation) -> bool:
    """Whether a loop has a counter: its bounds are known, and it is not unrolled whole."""
    trips = trip_count(loop) or 0
    return trips > body_copies(loop) and not len(loop.results)


def _rereads(loop: ir.Operation) -> bool:
    """Whether memory is both read and written in a loop, registers and what it makes aside."""
    found = [a for a in accesses(loop) if not is_register(a.memory)]
    written = {access.memory for access in found if access.is_store}
    return any(access.memory in written for access in found if not access.is_store)


def _waits(loop: ir.Operation) -> bool:
    """Whether registers of floats are both read and written in a loop, what it makes aside."""
    found = [a for a in accesses(loop) if is_register(a.memory) and not _is_made_in(a.memory, loop)]
    floats = [a for a in found if isinstance(ir.MemRefType(a.memory.type).element_type, ir.FloatType)]
    written = {access.memory for access in floats if access.is_store}
    return any(access.memory in written for access in floats if not access.is_store)


def _is_made_in(memory: ir.Value, loop: ir.Operation) -> bool:
    owner = operation_of(memory)
    return owner is not None and any(op == owner for op in walk(loop))


def is_register(memory: ir.Value) -> bool:
    """Whether every element of a memory can be read and written at once."""
    owner = operation_of(memory)
    if owner is None or owner.name != "memref.alloca":
        return False
    spec = to_python(owner.attributes[PARTITION]) if PARTITION in owner.attributes else {}
    return ir.MemRefType(memory.type).rank == 0 or spec.get("kind") == "complete"


BELOW = (2, 6)
"""Predicates of arith.cmpi: signed and unsigned <."""


def bounds_of(condition: ir.Value) -> list[tuple[ir.Value, int]]:
    """Indices that are below a number where a condition holds, and that number."""
    owner = operation_of(condition)
    if owner is None or owner.name not in ("arith.andi", "arith.cmpi"):
        return []
    if owner.name == "arith.andi":
        return [bound for part in owner.operands for bound in bounds_of(part)]
    end = constant_index(owner.operands[1]) if isinstance(owner.operands[1].type, ir.IndexType) else None
    return [(owner.operands[0], end)] if to_python(owner.attributes["predicate"]) in BELOW and end is not None else []


def body_copies(loop: ir.Operation) -> int:
    """How many copies of its body a loop runs at once."""
    return int(to_python(loop.attributes[UNROLL])) if UNROLL in loop.attributes else 1


def loop_of(index: ir.Value) -> ir.Operation | None:
    """The loop that an index counts."""
    parent = index.owner.owner.operation if isinstance(index.owner, ir.Block) else None
    return parent if parent is not None and parent.name == "scf.for" else None


def loops_in(block: ir.Block) -> Iterator[ir.Operation]:
    """The outermost loops of a block, in order, those inside conditions too."""
    for view in block.operations:
        operation = view.operation
        if operation.name == "scf.for":
            yield operation
        elif operation.name == "scf.if":
            for region in operation.regions:
                for inner in region.blocks:
                    yield from loops_in(inner)
