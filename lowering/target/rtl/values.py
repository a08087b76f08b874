"""Makes the values of a circuit: equal ones once, what is constant folded, multipliers as narrow as their operands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

from terrace.lowering.target.rtl.circuit import Counter, Linear, Load, Node, Register, Segment

PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
"""By the number of arith.cmpi's predicate, as comb.icmp names them."""

PART_BITS = 17
"""The low bits of an operand that is too wide for a multiplier, which has a sign beside them."""

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


def signed_width(low: int, high: int) -> int:
    """The bits of any number in low..high, a sign bit among them, and one more: one bit alone has no sign."""
    return max(2, width_of_range(min(low, -1), high))


def span_of(width: int) -> tuple[int, int]:
    """The numbers that so many bits, more than one, are as two's complement."""
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def fits(span: tuple[int, int], width: int) -> bool:
    """Whether all numbers of a span are two's complement numbers of so many bits."""
    low, high = span_of(width)
    return low <= span[0] and span[1] <= high


def conjuncts(condition: Node) -> frozenset[Node]:
    """The conditions that all hold where one does."""
    if condition.op == "and" and condition.width == 1:
        return conjuncts(condition.inputs[0]) | conjuncts(condition.inputs[1])
    return frozenset([condition])


def implies(left: Node, right: Node) -> bool:
    """Whether a condition is seen to hold where another one does."""
    return conjuncts(right) <= conjuncts(left)


def _peeled(value: Node) -> Node:
    """A value before its sign was extended."""
    return value.inputs[0] if value.op == "sext" else value


def _is_read(value: Node) -> bool:
    """Whether a value is what a register holds, or what it begins with instead."""
    inner = _peeled(value)
    return inner.op == "read" or (inner.op == "mux" and any(_peeled(n).op == "read" for n in inner.inputs[1:]))


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
    """Values of one circuit, whose multipliers take operands of `product_bits`, the smaller first."""

    def __init__(self, product_bits: tuple[int, int]) -> None:
        self.product_bits = product_bits
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
            low, high = span or ((0, 1) if width == 1 else span_of(width))
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

    def fitting(self, op: str, inputs: tuple[Node, ...], span: tuple[int, int], detail: Hashable = None) -> Node:
        """What an op gives of operands as wide as the first one: a number in `span`, made of no more bits than it has.

        For ops whose low bits depend on low bits alone. Where the span does not fit, the number wraps around.
        """
        width = inputs[0].width
        if width == 1 or not fits(span, width):
            return self.make(op, width, inputs, detail)
        if span[0] == span[1]:
            return self.constant(span[0], width)
        own = signed_width(*span)
        return self.extended(self.make(op, own, tuple(self.truncated(i, own) for i in inputs), detail, span), width)

    def extended(self, value: Node, width: int, sign: bool = True) -> Node:
        if value.width == width:
            return value
        if value.op == "constant":
            bits = value.detail & ((1 << value.width) - 1)
            return self.constant(-bits if sign and value.width == 1 else value.detail if sign else bits, width)
        if value.op == "zext":
            return self.extended(value.inputs[0], width, sign=False)
        is_positive = value.width > 1 and value.low >= 0 and fits((value.low, value.high), value.width)
        if not sign and not is_positive:
            return self.make("zext", width, (value,), span=(0, (1 << value.width) - 1))
        if value.op == "sext":
            return self.extended(value.inputs[0], width)
        return self.make("sext", width, (value,), span=(value.low, value.high) if value.width > 1 else (-1, 0))

    def truncated(self, value: Node, width: int) -> Node:
        if value.width == width:
            return value
        if value.op == "constant":
            return self.constant(value.detail, width)
        if value.op in ("sext", "zext"):
            inner = value.inputs[0]
            if inner.width >= width:
                return self.truncated(inner, width)
            return self.extended(inner, width, value.op == "sext")
        span = (value.low, value.high)
        return self.make("part", width, (value,), 0, span if width > 1 and fits(span, width) else None)

    def narrowed(self, value: Node) -> Node:
        """A number without the bits that repeat its sign."""
        if value.width == 1:
            return value
        return self.truncated(value, min(value.width, signed_width(value.low, value.high)))

    def known_within(self, value: Node, low: int, high: int) -> Node:
        """The same number, of which it is known where it lies."""
        low, high = max(low, value.low), min(high, value.high)
        if low == high:
            return self.constant(low, value.width)
        own = min(value.width, signed_width(low, high))
        return self.extended(self.make("part", own, (value,), 0, (low, high)), value.width)

    def mux(self, condition: Node, left: Node, right: Node, span: tuple[int, int] | None = None) -> Node:
        """The left one if the condition holds, else the right one; a number in `span`."""
        if condition.op == "constant":
            return left if condition.detail else right
        if left is right:
            return left
        low, high = span or (min(left.low, right.low), max(left.high, right.high))
        if left.width == 1 or not fits((low, high), left.width):
            return self.make("mux", left.width, (condition, left, right))
        if low == high:
            return self.constant(low, left.width)
        own = signed_width(low, high)
        pair = self.truncated(left, own), self.truncated(right, own)
        return self.extended(self.make("mux", own, (condition, *pair), span=(low, high)), left.width)

    def largest(self, predicate: str, left: Node, right: Node) -> Node:
        """The left one if it compares so with the right one, else that."""
        is_signed = predicate[0] == "s" or min(left.low, right.low) >= 0
        choose = max if predicate[1] == "g" else min
        span = (choose(left.low, right.low), choose(left.high, right.high)) if is_signed else None
        return self.mux(self.compare(predicate, left, right), left, right, span)

    def compare(self, predicate: str, left: Node, right: Node) -> Node:
        if left.width == 1 or (predicate[0] == "u" and min(left.low, right.low) < 0):
            return self.make("compare", 1, (left, right), predicate)
        are_apart = left.high < right.low or right.high < left.low
        ends = {compares(predicate, a, b) for a in (left.low, left.high) for b in (right.low, right.high)}
        if len(ends) == 1 and (are_apart or predicate not in ("eq", "ne")):
            return self.constant(ends.pop(), 1)
        width = max(signed_width(n.low, n.high) for n in (left, right))
        return self.make("compare", 1, (self.truncated(left, width), self.truncated(right, width)), predicate)

    def both(self, left: Node, right: Node) -> Node:
        """left and right, of one bit."""
        if left is self.true or right is self.false or left is right:
            return right
        return left if right is self.true or left is self.false else self.make("and", 1, (left, right))

    def either(self, left: Node, right: Node) -> Node:
        """left or right, of one bit."""
        if left is self.false or right is self.true or implies(left, right):
            return right
        if implies(right, left):
            return left
        return left if right is self.false or left is self.true else self.make("or", 1, (left, right))

    def inverse(self, value: Node) -> Node:
        if value.op == "constant":
            return self.false if value.detail else self.true
        return self.make("xor", 1, (value, self.true))

    def bitwise(self, op: str, left: Node, right: Node) -> Node:
        """and, or, xor."""
        if min(left.low, right.low) >= 0:
            high = min(left.high, right.high) if op == "and" else (1 << max(left.high, right.high).bit_length()) - 1
            return self.fitting(op, (left, right), (0, high))
        masks = [n.high for n in (left, right) if n.low >= 0]
        if op == "and" and masks:
            return self.fitting(op, (left, right), (0, min(masks)))
        return self.fitting(op, (left, right), span_of(max(signed_width(n.low, n.high) for n in (left, right))))

    def shift(self, op: str, value: Node, amount: Node) -> Node:
        """shl, shrs, shru: by less than the width, or it means nothing."""
        width = value.width
        if amount.low < 0 or amount.high >= width or (op == "shru" and value.low < 0):
            return self.make(op, width, (value, amount))
        if amount.low and amount.op != "constant":
            # A shift by a constant is no gate; what is left to shift by has fewer bits.
            least = self.constant(amount.low, width)
            return self.shift(op, self.shift(op, value, least), self.subtract(amount, least))
        shifted = [
            n << a if op == "shl" else n >> a for n in (value.low, value.high) for a in (amount.low, amount.high)
        ]
        span = min(shifted), max(shifted)
        if not fits(span, width):
            return self.make(op, width, (value, amount))
        own = max(signed_width(*span), signed_width(amount.low, amount.high))
        own = min(width, own if op == "shl" else max(own, signed_width(value.low, value.high)))
        by = self.extended(self.truncated(amount, max(1, amount.high.bit_length())), own, sign=False)
        return self.extended(self.make(op, own, (self.truncated(value, own), by), None, span), width)

    def add(self, left: Node, right: Node) -> Node:
        """A sum. What is read from a register is added last: an accumulation waits for one addition, not for all."""
        for a, b in ((left, right), (right, left)):
            inner = _peeled(a)
            if inner.op == "add" and _is_read(inner.inputs[0]) and not _is_read(b):
                read, rest = (self.extended(n, a.width) for n in inner.inputs)
                return self.add(read, self.add(rest, b))
        if _is_read(right):
            left, right = right, left
        return self.fitting("add", (left, right), (left.low + right.low, left.high + right.high))

    def subtract(self, left: Node, right: Node) -> Node:
        return self.fitting("sub", (left, right), (left.low - right.high, left.high - right.low))

    def multiply(self, left: Node, right: Node, of: Hashable = None) -> Node:
        """A product, made of operands without the bits that repeat their sign; a part of the product `of`."""
        width = left.width
        for factor, other in ((left, right), (right, left)):
            if factor.op == "constant" and factor.detail > 0 and factor.detail & (factor.detail - 1) == 0:
                places = self.constant(factor.detail.bit_length() - 1, width)
                return self.shift("shl", other, places) if places.detail else other
        products = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
        span = min(products), max(products)
        if left is right:
            span = 0 if left.low < 0 < left.high else min(left.low**2, left.high**2), span[1]
        if span[0] == span[1]:
            return self.constant(span[0], width)
        a, b = self.narrowed(left), self.narrowed(right)
        made = self._product(a, b, span, (a.number, b.number) if of is None else of)
        return self.truncated(made, width) if made.width > width else self.extended(made, width)

    def _product(self, left: Node, right: Node, span: tuple[int, int], of: Hashable) -> Node:
        """A product as one multiplier has it, or as a sum of those of parts: the low bits of an operand, which are not
        negative, and the rest.
        """
        own = signed_width(*span)
        small, large = sorted((left, right), key=lambda node: node.width)
        few, many = self.product_bits
        if small.width <= few and large.width <= many:
            return self.make("multiply", own, (left, right), of, span)
        cut, other = (large, small) if large.width > many else (small, large)
        low = self.extended(self.make("part", PART_BITS, (cut,), 0), own, sign=False)
        ends = cut.low >> PART_BITS, cut.high >> PART_BITS
        high = self.constant(ends[0], own)
        if ends[0] < ends[1]:
            high = self.extended(self.make("part", cut.width - PART_BITS, (cut,), PART_BITS, ends), own)
        lower, upper = (self.multiply(part, self.extended(other, own), of) for part in (low, high))
        carried = self.shift("shrs", lower, self.constant(PART_BITS, own))
        total = self.truncated(self.add(upper, carried), own - PART_BITS)
        return self.make("concat", own, (total, self.truncated(lower, PART_BITS)), None, span)

    def element(self, elements: list[Node], index: Node) -> Node:
        """The element that `index`, unsigned, selects; any if there is none of that number."""
        if index.low >= 0:
            elements = elements[: index.high + 1]
        width = elements[0].width
        if len(elements) == 1:
            return elements[0]
        span = min(e.low for e in elements), max(e.high for e in elements)
        own = width if width == 1 or not fits(span, width) else signed_width(*span)
        made = self.make(
            "element", own, (index, *(self.truncated(e, own) for e in elements)), None, span if width > 1 else None
        )
        return self.extended(made, width)

    # -- what depends on a cycle ----------------------------------------------------------------------------------

    def loaded(self, load: Load, bank: int, home: Segment) -> Node:
        node = self.make("loaded", load.memory.width, detail=(load, bank), span=load.memory.span)
        node.home = home
        return node

    def read(self, register: Register, home: Segment | None) -> Node:
        node = self.make("read", register.width, detail=(register, home), span=register.span)
        node.home = home
        return node
