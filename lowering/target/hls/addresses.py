"""What loops and addresses of the array level are, for passes that choose or check hardware attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from terrace.dialects.base import to_python
from terrace.mlir import ir, operation_of, walk

Coefficients = dict[ir.Value, int]
"""An affine index: the coefficient of each loop's index; a constant term does not matter here."""


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
    """An index as a linear function of the indices of loops, or None when it is none."""
    operation = operation_of(value)
    if operation is None:
        return {value: 1}
    if operation.name == "arith.constant":
        return {}
    if operation.name not in ("arith.addi", "arith.muli", "arith.subi"):
        return None
    left, right = (coefficients(v) for v in operation.operands)
    if left is None or right is None:
        return None
    if operation.name == "arith.muli":
        return _product(operation, left, right)
    sign = -1 if operation.name == "arith.subi" else 1
    total = dict(left)
    for index, factor in right.items():
        total[index] = total.get(index, 0) + sign * factor
    return {index: factor for index, factor in total.items() if factor}


def reads(value: ir.Value, index: ir.Value) -> bool:
    """Whether an index is computed from another."""
    operation = operation_of(value)
    return value == index or (operation is not None and any(reads(operand, index) for operand in operation.operands))


def _product(operation: ir.Operation, left: Coefficients, right: Coefficients) -> Coefficients | None:
    for operand, other in ((operation.operands[0], right), (operation.operands[1], left)):
        number = constant_index(operand)
        if number is not None:
            return {index: factor * number for index, factor in other.items() if number}
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
        found = [coefficients(v) for v in self.indices]
        return any(c is None or index in c for c in found)


def accesses(root: ir.Operation) -> Iterator[Access]:
    """All loads and stores in `root`."""
    for operation in walk(root):
        if operation.name in ("memref.load", "memref.store"):
            yield Access(operation)


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
