"""Sizes of dynamic shapes as polynomials of the model's symbols, such as 64·n, for figures that a `?` leaves open.

Followed are the arguments of a function, `tensor.dim`, products and sums of sizes, and the sizes that launches and
reshapes are given for their results. What comes from anything else is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from terrace.dialects.base import shape_of, to_python
from terrace.mlir import DYNAMIC, ir, operation_of

EXAMPLE_SHAPES = "terrace_example_shapes"
"""The attribute of @main that says which shapes its arguments had when the model was exported, where some are dynamic.

Schedules that are good for those sizes are chosen; every size gets right results."""

Polynomial = dict[tuple[str, ...], int]
"""Coefficients by the symbols of their term, sorted; the constant term has none. {("n",): 64, (): 3} is 64·n + 3."""

_DIVISIONS = ("arith.divui", "arith.divsi", "arith.floordivsi")
"""Ops that divide sizes, which are not negative; they are followed where both operands are numbers."""

_GIVEN = ("func.call", "graph.reshape", "graph.broadcast")
"""Ops whose index operands are the dynamic sizes of their result, in order."""


def constant(value: int) -> Polynomial:
    return {(): value} if value else {}


def number(polynomial: Polynomial) -> int | None:
    """Its value if it has no symbols."""
    return polynomial.get((), 0) if set(polynomial) <= {()} else None


def add(polynomials: Iterable[Polynomial | None]) -> Polynomial | None:
    """The sum; None if any is."""
    total: Polynomial = {}
    for polynomial in polynomials:
        if polynomial is None:
            return None
        for symbols, factor in polynomial.items():
            total[symbols] = total.get(symbols, 0) + factor
    return {symbols: factor for symbols, factor in total.items() if factor}


def multiply(polynomials: Iterable[Polynomial | None]) -> Polynomial | None:
    """The product; None if any is."""
    total: Polynomial = constant(1)
    for polynomial in polynomials:
        if polynomial is None:
            return None
        product: Polynomial = {}
        for left, a in total.items():
            for right, b in polynomial.items():
                symbols = tuple(sorted((*left, *right)))
                product[symbols] = product.get(symbols, 0) + a * b
        total = product
    return total


class SymbolicSizes:
    """The sizes of the tensors of one function. `names` are the symbols of its arguments' dynamic sizes.

    `names` maps (number of the argument, axis) to a symbol; what it lacks is called s0_1, after argument and axis. With
    `examples`, shapes of the first arguments, their sizes are numbers.
    """

    def __init__(
        self,
        arguments: Sequence[ir.Value],
        names: Mapping[tuple[int, int], str],
        examples: Sequence[Sequence[int]] = (),
    ) -> None:
        self._arguments, self._names, self._examples = list(arguments), names, examples
        self._known: dict[tuple[ir.Value, int], Polynomial | None] = {}

    def elements(self, value: ir.Value) -> Polynomial | None:
        """The number of a tensor's elements."""
        return multiply(self.size(value, axis) for axis in range(len(shape_of(value))))

    def size(self, value: ir.Value, axis: int) -> Polynomial | None:
        """The size of a tensor along an axis."""
        axis %= len(shape_of(value))
        static = shape_of(value)[axis]
        if static != DYNAMIC:
            return constant(static)
        if (value, axis) not in self._known:
            self._known[value, axis] = self._find(value, axis)
        return self._known[value, axis]

    def _find(self, value: ir.Value, axis: int) -> Polynomial | None:
        operation = operation_of(value)
        if operation is None:
            if value not in self._arguments:
                return None
            number = self._arguments.index(value)
            if number < len(self._examples):
                return constant(self._examples[number][axis])
            return {(self._names.get((number, axis), f"s{number}_{axis}"),): 1}
        if operation.name in _GIVEN:
            given = [v for v in operation.operands if isinstance(v.type, ir.IndexType)]
            dynamic = [a for a, size in enumerate(shape_of(value)) if size == DYNAMIC]
            return self._index(given[dynamic.index(axis)]) if len(given) == len(dynamic) else None
        if operation.name == "graph.permute":
            permutation = to_python(operation.attributes["permutation"])
            return self.size(operation.operands[0], permutation[axis])
        return None

    def _index(self, value: ir.Value) -> Polynomial | None:
        """The value of an index computation."""
        operation = operation_of(value)
        if operation is None:
            return None
        operands = list(operation.operands)
        if operation.name in _DIVISIONS:
            numbers = [None if size is None else number(size) for size in map(self._index, operands)]
            left, right = numbers
            return None if left is None or not right else constant(left // right)
        if operation.name == "arith.constant":
            literal = to_python(operation.attributes["value"])
            return constant(literal) if isinstance(literal, int) else None
        if operation.name == "tensor.dim":
            axis = self._index(operands[1])
            place = None if axis is None else number(axis)
            return None if place is None else self.size(operands[0], place)
        if operation.name == "arith.muli":
            return multiply(self._index(operand) for operand in operands)
        return add(self._index(operand) for operand in operands) if operation.name == "arith.addi" else None
