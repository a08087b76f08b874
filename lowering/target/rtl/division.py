"""Division of data: a bit of the quotient after the other, as on paper, which the scheduler spreads over cycles.

What a division by zero gives, and that of the least number by -1, means nothing, as in MLIR.
"""

from __future__ import annotations

from terrace.lowering.target.rtl.circuit import Node
from terrace.lowering.target.rtl.values import Values


def divide(values: Values, left: Node, right: Node, is_signed: bool) -> tuple[Node, Node]:
    """The quotient, rounded towards zero, and the rest, which has the sign of `left`."""
    width = left.width
    least = max(1, right.low)
    if not is_signed or min(left.low, right.low) >= 0:
        dividend, divisor = (values.narrowed(n) if n.low >= 0 else n for n in (left, right))
        found = _divide(values, dividend, divisor)
        quotient, rest = (
            values.truncated(n, width) if n.width > width else values.extended(n, width, sign=False) for n in found
        )
        if left.low < 0 or right.low < 0:
            return quotient, rest
        return values.known_within(quotient, 0, left.high // least), values.known_within(rest, 0, right.high)
    dividend, divisor = values.narrowed(left), values.narrowed(right)
    quotient, rest = _divide(values, _magnitude(values, dividend), _magnitude(values, divisor))
    is_below, differs = (
        _sign(values, dividend),
        values.make("xor", 1, (_sign(values, dividend), _sign(values, divisor))),
    )
    quotient = values.mux(differs, _negated(values, quotient), quotient)
    rest = values.mux(is_below, _negated(values, rest), rest)
    most = max(-left.low, left.high) // least
    return (
        values.known_within(values.extended(quotient, width, sign=True), -most, most),
        values.extended(rest, width, sign=True) if rest.width <= width else values.truncated(rest, width),
    )


def _divide(values: Values, dividend: Node, divisor: Node) -> tuple[Node, Node]:
    """Of numbers without a sign: the quotient has the bits of the dividend, the rest one more than the divisor."""
    wide = divisor.width + 1
    subtrahend, one = values.extended(divisor, wide, sign=False), values.constant(1, wide)
    rest, quotient = values.constant(0, wide), values.constant(0, dividend.width)
    for place in reversed(range(dividend.width)):
        bit = values.extended(values.make("part", 1, (dividend,), place), wide, sign=False)
        rest = values.make("or", wide, (values.make("shl", wide, (rest, one)), bit))
        fits = values.make("compare", 1, (rest, subtrahend), "uge")
        rest = values.mux(fits, values.make("sub", wide, (rest, subtrahend)), rest)
        quotient = values.make("shl", dividend.width, (quotient, values.constant(1, dividend.width)))
        quotient = values.make("or", dividend.width, (quotient, values.extended(fits, dividend.width, sign=False)))
    return quotient, rest


def _sign(values: Values, value: Node) -> Node:
    if value.op == "constant":
        return values.true if value.detail < 0 else values.false
    return values.make("part", 1, (value,), value.width - 1)


def _negated(values: Values, value: Node) -> Node:
    return values.make("sub", value.width, (values.constant(0, value.width), value))


def _magnitude(values: Values, value: Node) -> Node:
    if value.op == "constant":
        return values.constant(abs(value.detail), value.width)
    return values.mux(_sign(values, value), _negated(values, value), value)
