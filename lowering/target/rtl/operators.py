"""The arith ops that have a circuit: what each is made of, how long its gates take, how many cycles a multiplier does.

The delays are rough ones of a 7-series FPGA: carry chains grow by the bit, the rest is levels of lookup tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrace.lowering.target.rtl.circuit import Node
from terrace.lowering.target.rtl.division import divide
from terrace.lowering.target.rtl.values import PREDICATES, Values

LOAD_CYCLES = 1
"""From the address of a memory to its element."""

_DSP_BITS = (18, 27)
"""The operands of the multiplier of a DSP block; larger products are sums of several."""

_LUT_NS, _CARRY_NS, _CARRY_BIT_NS = 0.6, 0.9, 0.03

BITWISE = {"arith.andi": "and", "arith.ori": "or", "arith.xori": "xor"}
SHIFTS = {"arith.shli": "shl", "arith.shrsi": "shrs", "arith.shrui": "shru"}
DIVISIONS = {"arith.divsi": (True, 0), "arith.divui": (False, 0), "arith.remsi": (True, 1), "arith.remui": (False, 1)}
"""Whether numbers have a sign, and which result it is: the quotient or the rest."""
LARGEST = {"arith.maxsi": "sgt", "arith.maxui": "ugt", "arith.minsi": "slt", "arith.minui": "ult"}
"""Ops that choose one operand: the left if it compares like this with the right."""


def circuit_of(values: Values, name: str, operands: Sequence[Node], width: int, predicate: int | None) -> Node | None:
    """The value of an op of arith on integers that are no indices; None if it has no circuit."""
    if name in BITWISE:
        return values.bitwise(BITWISE[name], operands[0], operands[1])
    if name in SHIFTS:
        return values.shift(SHIFTS[name], operands[0], operands[1])
    if name in LARGEST:
        return values.largest(LARGEST[name], operands[0], operands[1])
    if name == "arith.cmpi" and predicate is not None:
        return values.compare(PREDICATES[predicate], operands[0], operands[1])
    if name in DIVISIONS:
        is_signed, which = DIVISIONS[name]
        return divide(values, operands[0], operands[1], is_signed)[which]
    simple: dict[str, Callable[..., Node]] = {
        "arith.addi": values.add,
        "arith.muli": values.multiply,
        "arith.select": values.mux,
        "arith.subi": values.subtract,
        "arith.extsi": lambda value: values.extended(value, width, sign=True),
        "arith.extui": lambda value: values.extended(value, width, sign=False),
        "arith.trunci": lambda value: values.truncated(value, width),
    }
    return simple[name](*operands) if name in simple else None


def cycles(node: Node) -> int:
    """The registers that a value goes through inside its operator."""
    if node.op == "loaded":
        return LOAD_CYCLES
    if node.op == "multiply":
        small, large = sorted(n.width for n in node.inputs)
        return 1 if small <= _DSP_BITS[0] and large <= _DSP_BITS[1] else 3
    return 0


def delay(node: Node) -> float:
    """The nanoseconds that a value takes behind its operands, in the cycle of its operator."""
    if node.op in ("add", "sub"):
        return _CARRY_NS + _CARRY_BIT_NS * node.width
    if node.op == "compare":
        return _CARRY_NS + _CARRY_BIT_NS * node.inputs[0].width
    if node.op == "linear":
        factors, constant = node.detail
        terms = sum(bin(abs(f)).count("1") for f in factors) + (constant != 0)
        return (terms - 1).bit_length() * (_CARRY_NS + _CARRY_BIT_NS * node.width) if terms > 1 else 0.0
    if node.op in ("divide", "remainder"):
        return node.width * (_CARRY_NS + _CARRY_BIT_NS * node.width)
    if node.op == "element":
        return _LUT_NS * ((len(node.inputs) - 2).bit_length() + 1) / 2
    if node.op in ("shl", "shrs", "shru"):
        return 0.0 if node.inputs[1].op == "constant" else _LUT_NS * node.width.bit_length() / 2
    return _LUT_NS if node.op in ("and", "mux", "or", "xor") else 0.0
