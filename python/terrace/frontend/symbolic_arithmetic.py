"""Arithmetic on sizes that torch-mlir's importer does not know, in the ops that it has for numbers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx.node import Argument

from terrace.frontend.inserter import Inserter
from terrace.frontend.symbolic_tensors import ARITHMETIC, number_tensor

aten = torch.ops.aten


def rewrite_arithmetic(graph: torch.fx.Graph) -> None:
    """Rewrite all nodes of `graph` that compute numbers from sizes."""
    for node in list(graph.nodes):
        rule = RULES.get(node.target)
        if rule is not None and isinstance(node.meta.get("val"), (torch.SymInt, torch.SymFloat, torch.SymBool)):
            rule(Inserter(graph, node), node)


def become(node: torch.fx.Node, target: Callable[..., Any], *args: Any) -> None:
    """Let `node` call another function, for the same number."""
    node.target, node.args, node.kwargs = target, args, {}


def take_for_int64(graph: torch.fx.Graph) -> None:
    """Take the elements of boolean tensors for 0 or 1, and those of uint8 for int64: torch-mlir has no others."""
    for node in graph.find_nodes(op="call_function", target=aten._local_scalar_dense.default):
        if node.args[0].meta["val"].dtype in (torch.bool, torch.uint8):
            insert = Inserter(graph, node)
            number = insert.call(aten._to_copy.default, node.args[0], dtype=torch.int64)
            node.replace_all_uses_with(insert.number(number))
            graph.erase_node(node)


def of_minimum(insert: Inserter, node: torch.fx.Node) -> None:
    if isinstance(node.meta["val"], torch.SymInt):
        node.target = torch.ops.prim.min.int


def of_maximum(insert: Inserter, node: torch.fx.Node) -> None:
    """By the least: the larger of a size and 1 is what torch-mlir writes where it broadcasts (`legalize`)."""
    if isinstance(node.meta["val"], torch.SymInt):
        negated = (-number if isinstance(number, int) else insert.call(operator.neg, number) for number in node.args)
        least = insert.call(torch.sym_min, *negated)
        least.target = torch.ops.prim.min.int
        become(node, operator.neg, least)


def of_modulo(insert: Inserter, node: torch.fx.Node) -> None:
    """The remainder has the sign of the divisor; that of torch-mlir has the dividend's."""
    number, divisor = node.args
    if isinstance(node.meta["val"], torch.SymInt):
        multiple = insert.call(operator.mul, insert.call(operator.floordiv, number, divisor), divisor)
        become(node, operator.sub, number, multiple)


def of_float(insert: Inserter, node: torch.fx.Node) -> None:
    node.target = aten.Float.Scalar


def rounded(op: OpOverload) -> Callable[[Inserter, torch.fx.Node], None]:
    """By `op` on a tensor: IREE's host code has no float64."""

    def rewrite(insert: Inserter, node: torch.fx.Node) -> None:
        number = insert.call(op, float_tensor(insert, node.args[0]))
        become(node, aten.Int.Tensor, insert.call(aten._to_copy.default, number, dtype=torch.int64))

    return rewrite


def of_power(insert: Inserter, node: torch.fx.Node) -> None:
    base, exponent = (float_tensor(insert, number) for number in node.args)
    become(node, aten.Float.Tensor, insert.call(aten.pow.Tensor_Tensor, base, exponent))


def of_square_root(insert: Inserter, node: torch.fx.Node) -> None:
    become(node, aten.Float.Tensor, insert.call(aten.sqrt.default, float_tensor(insert, node.args[0])))


def of_choice(insert: Inserter, node: torch.fx.Node) -> None:
    if isinstance(node.meta["val"], torch.SymInt):
        become(node, aten.Int.Tensor, number_tensor(insert, node))


def compared(op: OpOverload) -> Callable[[Inserter, torch.fx.Node], None]:
    """By `op` on tensors, if a number is a float: torch-mlir takes NaN for less and for more than others."""

    def rewrite(insert: Inserter, node: torch.fx.Node) -> None:
        numbers = [number.meta["val"] if isinstance(number, torch.fx.Node) else number for number in node.args]
        if any(isinstance(number, (float, torch.SymFloat)) for number in numbers):
            become(node, aten.Bool.Tensor, insert.call(op, *(float_tensor(insert, number) for number in node.args)))

    return rewrite


def of_sum(insert: Inserter, node: torch.fx.Node) -> None:
    (numbers,) = node.args
    assert isinstance(numbers, (list, tuple))
    total: Any = 0
    for number in numbers[:-1]:
        total = insert.call(operator.add, total, number)
    become(node, operator.add, total, numbers[-1])


def float_tensor(insert: Inserter, number: Argument) -> torch.fx.Node:
    """A float64 tensor of a number, and of each that it is made of."""
    if isinstance(number, torch.fx.Node) and isinstance(number.meta["val"], torch.SymFloat):
        if number.target in FLOAT_ARITHMETIC:
            return insert.call(FLOAT_ARITHMETIC[number.target], *(float_tensor(insert, part) for part in number.args))
        if number.target in (aten.Float.Scalar, torch.sym_float):
            number = number.args[0]
    return insert.call(aten.scalar_tensor.default, number, dtype=torch.float64)


FLOAT_ARITHMETIC = ARITHMETIC | {operator.truediv: aten.div.Tensor}

RULES: dict[Any, Callable[[Inserter, torch.fx.Node], None]] = {
    math.ceil: rounded(aten.ceil.default),
    math.floor: rounded(aten.floor.default),
    math.trunc: rounded(aten.trunc.default),
    operator.eq: compared(aten.eq.Tensor),
    operator.ge: compared(aten.ge.Tensor),
    operator.gt: compared(aten.gt.Tensor),
    operator.le: compared(aten.le.Tensor),
    operator.lt: compared(aten.lt.Tensor),
    operator.mod: of_modulo,
    operator.ne: compared(aten.ne.Tensor),
    operator.pow: of_power,
    torch.sym_float: of_float,
    torch.sym_int: rounded(aten.trunc.default),
    torch.sym_ite: of_choice,
    torch.sym_max: of_maximum,
    torch.sym_min: of_minimum,
    torch.sym_sum: of_sum,
    torch.sym_sqrt: of_square_root,
}
