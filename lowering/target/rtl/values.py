"""Makes the values of a circuit: equal ones once, what is constant folded, multipliers as narrow as their operands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

from terrace.lowering.target.rtl.circuit import Counter, Linear, Load, Node, Register, Segment

PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
"""By the number of arith.cmpi's predicate, as comb.icmp names them."""

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


def compares(predicate: str, left: int, right: int) -> bool:
    """A comparison of numbers."""
    return _COMPARE[predicate if predicate in ("eq", "ne") else predicate[1:]](left, right)


def width_of_range(low: int, high: int) -> int:
    """The bits of any number in low..high, a sign bit among them only if `low` is negative."""
    if low >= 0:
        return max(1, high.bit_length())
    return max((-low - 1).bit_length(), high.bit_length() if high > 0 else 0) + 1


def signed(number: int, width: int) -> int:
    """The number that `width` bits are as two's complement; one bit is 0 or 1."""
    number &= (1 << width) - 1
    return number - (1 << width) if width > 1 and number >> (width - 1) else number


def _may_be_zero(index: Linear) -> bool:
    """Whether a sum of one counter can be 0; of any other, it is taken to be able to."""
    if len(index.terms) != 1 or index.terms[0][0].op != "counter":
        return True
    ((node, factor),) = index.terms
    return -index.constant % factor == 0 and -index.constant // factor in node.detail.values


class Values:
    """Values of one circuit."""

    def __init__(self) -> None:
        self.known: dict[Any, Node] = {}

    def make(
        self,
        op: str,
        width: int,
        inputs: tuple[Node, ...] = (),
        detail: Hashable = None,
        span: tuple[int, int] | None = None,
    ) -> Node:
        """A value; the one that exists if there is an equal one. `span` is its range if less than all of the width."""
        key = (op, width, tuple(id(n) for n in inputs), detail)
        if key not in self.known:
            full = (0, 1) if width == 1 else (-(1 << (width - 1)), (1 << (width - 1)) - 1)
            low, high = span or full
            home = next((n.home for n in inputs if n.home is not None), None)
            self.known[key] = Node(op, width, inputs, detail, low, high, home, len(self.known))
        return self.known[key]

    def constant(self, number: int, width: int) -> Node:
        number = signed(number, width)
        return self.make("constant", width, detail=number, span=(number, number))

    def counter(self, counter: Counter) -> Node:
        low, high = min(counter.first, counter.last), max(counter.first, counter.last)
        return self.make("counter", width_of_range(low, high), detail=counter, span=(low, high))

    @functools.cached_property
    def true(self) -> Node:
        return self.constant(1, 1)

    @functools.cached_property
    def false(self) -> Node:
        return self.constant(0, 1)

    # -- indices --------------------------------------------------------------------------------------------------

    def linear(self, index: Linear, width: int | None = None) -> Node:
        """An index as a value of `width` bits, modulo their number; all its bits without a width."""
        low, high = index.low, index.high
        wanted = width_of_range(low, high) if width is None else width
        if not index.terms:
            return self.constant_of(index.constant, wanted)
        if len(index.terms) == 1 and index.constant == 0:
            ((node, factor),) = index.terms
            if factor == 1 and node.width == wanted:
                return node
        factors = (tuple(factor for _, factor in index.terms), index.constant)
        nodes = tuple(node for node, _ in index.terms)
        fits = width_of_range(low, high) <= wanted
        return self.make("linear", wanted, nodes, factors, (low, high) if fits else (0, (1 << wanted) - 1))

    def constant_of(self, number: int, width: int) -> Node:
        """A constant index: not negative if the number is not."""
        number = number & ((1 << width) - 1) if number >= 0 else signed(number, width)
        return self.make("constant", width, detail=number, span=(number, number))

    def compare_indices(self, predicate: str, left: Linear, right: Linear) -> Node:
        difference = left.plus(right, -1)
        low, high = difference.low, difference.high
        nonnegative = left.low >= 0 and right.low >= 0
        if predicate[0] != "u" or nonnegative or predicate in ("eq", "ne"):
            outcomes = {compares(predicate, d, 0) for d in (low, high, *((0,) if low <= 0 <= high else ()))}
            if len(outcomes) == 1 and (predicate not in ("eq", "ne") or low == high or not low <= 0 <= high):
                return self.true if outcomes.pop() else self.false
        if predicate == "eq" and not _may_be_zero(difference):
            return self.false
        width = width_of_range(min(left.low, right.low), max(left.high, right.high))
        if nonnegative and predicate[0] == "s":
            predicate = "u" + predicate[1:]
        return self.make("compare", 1, (self.linear(left, width), self.linear(right, width)), predicate)

    # -- data -----------------------------------------------------------------------------------------------------

    def extended(self, value: Node, width: int, sign: bool) -> Node:
        if value.width == width:
            return value
        if value.op == "constant":
            bits = value.detail & ((1 << value.width) - 1)
            return self.constant(-bits if sign and value.width == 1 else value.detail if sign else bits, width)
        if sign:
            return self.make("sext", width, (value,), span=(value.low, value.high) if value.width > 1 else (-1, 0))
        return self.make("zext", width, (value,), span=(0, (1 << value.width) - 1))

    def truncated(self, value: Node, width: int) -> Node:
        if value.op == "constant":
            return self.constant(value.detail, width)
        if value.op == "sext" and value.inputs[0].width == width:
            return value.inputs[0]
        return self.make("part", width, (value,), 0)

    def mux(self, condition: Node, left: Node, right: Node) -> Node:
        if condition.op == "constant":
            return left if condition.detail else right
        if left is right:
            return left
        return self.make("mux", left.width, (condition, left, right))

    def both(self, left: Node, right: Node) -> Node:
        """left and right, of one bit."""
        if left is self.true or right is self.false or left is right:
            return right
        return left if right is self.true or left is self.false else self.make("and", 1, (left, right))

    def either(self, left: Node, right: Node) -> Node:
        """left or right, of one bit."""
        if left is self.false or right is self.true or left is right:
            return right
        return left if right is self.false or left is self.true else self.make("or", 1, (left, right))

    def inverse(self, value: Node) -> Node:
        if value.op == "constant":
            return self.false if value.detail else self.true
        return self.make("xor", 1, (value, self.true))

    def add(self, left: Node, right: Node) -> Node:
        """A sum. What is read from a register is added last: an accumulation waits for one addition, not for all."""
        for a, b in ((left, right), (right, left)):
            if a.op == "add" and a.inputs[0].op == "read" and b.op != "read":
                return self.make("add", a.width, (a.inputs[0], self.add(a.inputs[1], b)))
        if right.op == "read":
            left, right = right, left
        return self.make("add", left.width, (left, right))

    def multiply(self, left: Node, right: Node) -> Node:
        """A product, made of operands without the bits that repeat their sign."""
        width = left.width
        for factor, other in ((left, right), (right, left)):
            if factor.op == "constant" and factor.detail > 0 and factor.detail & (factor.detail - 1) == 0:
                places = self.constant(factor.detail.bit_length() - 1, width)
                return self.make("shl", width, (other, places)) if places.detail else other
        a, b = self.narrowed(left), self.narrowed(right)
        product = self.make("multiply", min(width, a.width + b.width), (a, b))
        return self.extended(product, width, sign=True)

    def narrowed(self, value: Node) -> Node:
        if value.op == "sext" and value.inputs[0].width > 1:
            return value.inputs[0]
        if value.op == "constant":
            width = max(2, width_of_range(min(value.detail, -1), value.detail))
            return self.constant(value.detail, width) if width < value.width else value
        return value

    def element(self, elements: list[Node], index: Node) -> Node:
        """The element that `index`, unsigned, selects; any if there is none of that number."""
        if index.low >= 0:
            elements = elements[: index.high + 1]
        if len(elements) == 1:
            return elements[0]
        return self.make("element", elements[0].width, (index, *elements))

    # -- what depends on a cycle ----------------------------------------------------------------------------------

    def loaded(self, load: Load, bank: int, home: Segment) -> Node:
        node = self.make("loaded", load.memory.width, detail=(load, bank))
        node.home = home
        return node

    def read(self, register: Register, home: Segment | None) -> Node:
        node = self.make("read", register.width, detail=(register, home))
        node.home = home
        return node
