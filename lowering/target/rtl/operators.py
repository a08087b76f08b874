"""The arith ops that have a circuit: what each is made of, how long its gates take, how many cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrace.lowering.target.rtl.circuit import Node
from terrace.lowering.target.rtl.division import divide
from terrace.lowering.target.rtl.fabric import Fabric
from terrace.lowering.target.rtl.values import PREDICATES, Values

LOAD_CYCLES = 1
"""From the address of a memory to its element."""

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
    return LOAD_CYCLES if node.op == "loaded" else int(node.op == "multiply")


def delay(node: Node, fabric: Fabric) -> float:
    """The nanoseconds that a value takes behind its operands, in the cycle of its operator."""
    if node.op == "multiply":
        return fabric.product
    if node.op in ("add", "sub"):
        return fabric.sum(node.width)
    if node.op == "compare":
        width = node.inputs[0].width
        is_order = node.detail not in ("eq", "ne")
        return fabric.sum(width) + fabric.above if is_order else fabric.choice(2 * width)
    if node.op == "linear":
        factors, constant = node.detail
        terms = sum(bin(abs(f)).count("1") for f in factors) + (constant != 0)
        return (terms - 1).bit_length() * fabric.sum(node.width) if terms > 1 else 0.0
    if node.op in ("divide", "remainder"):
        return node.width * fabric.sum(node.width)
    if node.op == "element":
        return fabric.choice(len(node.inputs) - 1)
    if node.op in ("shl", "shrs", "shru"):
        return 0.0 if node.inputs[1].op == "constant" else fabric.choice(node.width)
    return fabric.gate if node.op in ("and", "mux", "or", "xor") else 0.0
