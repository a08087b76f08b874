"""Values of circuits are as narrow as their numbers: random expressions give what they give at full width."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from terrace.lowering.target.rtl.circuit import Node, behind
from terrace.lowering.target.rtl.fabric import FABRICS
from terrace.lowering.target.rtl.operators import circuit_of
from terrace.lowering.target.rtl.values import PREDICATES, Values, compares, signed

WIDTHS = (8, 16, 32, 64)
COUNT = 400


def bits(number: int, width: int) -> int:
    return number & ((1 << width) - 1)


def truncated_quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def at_full_width(name: str, width: int, numbers: list[int], predicate: int) -> int:
    """What an op of arith gives of numbers with a sign, all of its type's bits."""
    a, b = (*numbers, 0)[:2]
    unsigned = bits(a, width), bits(b, width)
    found: dict[str, Callable[[], int]] = {
        "arith.addi": lambda: a + b,
        "arith.subi": lambda: a - b,
        "arith.muli": lambda: a * b,
        "arith.andi": lambda: a & b,
        "arith.ori": lambda: a | b,
        "arith.xori": lambda: a ^ b,
        "arith.shli": lambda: a << b,
        "arith.shrsi": lambda: a >> b,
        "arith.shrui": lambda: unsigned[0] >> b,
        "arith.maxsi": lambda: max(a, b),
        "arith.minsi": lambda: min(a, b),
        "arith.maxui": lambda: max(unsigned),
        "arith.minui": lambda: min(unsigned),
        "arith.divsi": lambda: truncated_quotient(a, b),
        "arith.remsi": lambda: a - b * truncated_quotient(a, b),
        "arith.divui": lambda: unsigned[0] // unsigned[1],
        "arith.remui": lambda: unsigned[0] % unsigned[1],
        "arith.select": lambda: numbers[1] if bits(a, 1) else numbers[2],
        "arith.cmpi": lambda: compares(
            PREDICATES[predicate], *(unsigned if PREDICATES[predicate][0] == "u" else (a, b))
        ),
    }
    return signed(int(found[name]()), 1 if name == "arith.cmpi" else width)


def gates(node: Node, inputs: list[int]) -> int:
    """What the gates of a value give, of the bits that its operands have."""
    if node.op == "constant":
        return bits(node.detail, node.width)
    width = node.inputs[0].width if node.inputs else node.width
    numbers = [signed(number, source.width) for number, source in zip(inputs, node.inputs, strict=True)]
    if node.op == "compare":
        return int(compares(node.detail, *(inputs if node.detail[0] == "u" else numbers)))
    found: dict[str, Callable[[], int]] = {
        "add": lambda: inputs[0] + inputs[1],
        "sub": lambda: inputs[0] - inputs[1],
        "multiply": lambda: numbers[0] * numbers[1],
        "and": lambda: inputs[0] & inputs[1],
        "or": lambda: inputs[0] | inputs[1],
        "xor": lambda: inputs[0] ^ inputs[1],
        "shl": lambda: inputs[0] << inputs[1],
        "shrs": lambda: numbers[0] >> inputs[1],
        "shru": lambda: inputs[0] >> inputs[1],
        "mux": lambda: inputs[1] if inputs[0] else inputs[2],
        "sext": lambda: numbers[0] if width > 1 else -inputs[0],
        "zext": lambda: inputs[0],
        "part": lambda: inputs[0] >> node.detail,
        "concat": lambda: inputs[0] << node.inputs[1].width | inputs[1],
    }
    return bits(found[node.op](), node.width)


class Expression:
    """A random expression: for each step its node, its width, and its number at full width."""

    def __init__(self, draw: random.Random) -> None:
        self.draw, self.values = draw, Values(draw.choice([*FABRICS.values()]).product_bits)
        self.found: list[tuple[Node, int, int]] = []
        self.known: dict[Node, int] = {}
        for number in range(4):
            self.add_input(number)
        for _ in range(12):
            self.add_step()

    def add_input(self, number: int) -> None:
        width = self.draw.choice(WIDTHS)
        ends = sorted(signed(self.draw.getrandbits(self.draw.randint(1, width)), width) for _ in range(2))
        low, high = (-ends[1], ends[1]) if self.draw.random() < 0.3 and ends[1] > 0 else (ends[0], ends[1])
        node = self.values.make("loaded", width, detail=number, span=(low, high))
        value = self.draw.choice([low, high, self.draw.randint(low, high)])
        self.known[node] = bits(value, width)
        self.found.append((node, width, value))

    def operand(self, width: int) -> tuple[Node, int, int]:
        """One of this width: a step's, extended or cut, or a constant."""
        if self.draw.random() < 0.25:
            number = signed(self.draw.choice([0, 1, -1, 4, 127, -128, self.draw.getrandbits(width)]), width)
            return self.values.constant(number, width), width, number
        node, own, value = self.draw.choice(self.found)
        if own < width:
            sign = self.draw.random() < 0.7
            number = value if sign and own > 1 else signed(-bits(value, 1) if sign else bits(value, own), width)
            return self.values.extended(node, width, sign), width, number
        return self.values.truncated(node, width), width, signed(value, width)

    def add_step(self) -> None:
        width, predicate = self.draw.choice(WIDTHS), self.draw.randrange(len(PREDICATES))
        name = self.draw.choice([*NAMES])
        operands = [self.operand(width), self.operand(width)]
        if name in ("arith.shli", "arith.shrsi", "arith.shrui"):
            operands[1] = self.amount(width)
        if name in DIVISIONS and (operands[1][2] == 0 or operands[1][2] == -1):
            return
        if name == "arith.select":
            operands.insert(0, (self.values.truncated(self.operand(width)[0], 1), 1, 0))
            node = operands[0][0]
            operands[0] = (node, 1, self.evaluate(node))
        made = circuit_of(self.values, name, [node for node, _, _ in operands], width, predicate)
        assert made is not None
        own = 1 if name == "arith.cmpi" else width
        self.found.append((made, own, at_full_width(name, width, [value for *_, value in operands], predicate)))

    def amount(self, width: int) -> tuple[Node, int, int]:
        """By how much is shifted: a constant, or within a range."""
        low = self.draw.randrange(width)
        high = self.draw.randint(low, width - 1)
        value = self.draw.randint(low, high)
        if self.draw.random() < 0.3:
            return self.values.constant(value, width), width, value
        node = self.values.make("loaded", width, detail=("amount", len(self.known)), span=(low, high))
        self.known[node] = value
        return node, width, value

    def evaluate(self, node: Node) -> int:
        for each in behind(node, self.known):
            self.known[each] = gates(each, [self.known[n] for n in each.inputs])
        return self.known[node]


DIVISIONS = ("arith.divsi", "arith.divui", "arith.remsi", "arith.remui")
NAMES = (
    *("arith.addi", "arith.subi", "arith.muli", "arith.andi", "arith.ori", "arith.xori", "arith.shli", "arith.shrsi"),
    *("arith.shrui", "arith.maxsi", "arith.minsi", "arith.maxui", "arith.minui", "arith.select", "arith.cmpi"),
    *DIVISIONS,
)


@pytest.mark.parametrize("seed", range(4))
def test_narrow_values_are_the_values_at_full_width(seed: int) -> None:
    for number in range(COUNT):
        expression = Expression(random.Random(f"{seed} {number}"))
        for place, (node, width, expected) in enumerate(expression.found):
            found = expression.evaluate(node)
            assert found == bits(expected, width), f"{number}.{place}: {node.op} of {width} bits"
            if width > 1:
                assert node.low <= signed(found, width) <= node.high, f"{number}.{place}: out of its range"
