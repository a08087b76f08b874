"""Divisions of integers: by zero fails a check, as PyTorch raises; and the least number by -1 is the least again.

Processors trap on both, or give what they like, so neither is ever divided.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import statically_known_true

from terrace.frontend.checks import Checks
from terrace.frontend.inserter import Inserter
from terrace.frontend.symbolic_tensors import number_tensor
from terrace.frontend.value_range import value_range

aten = torch.ops.aten

QUOTIENTS = (aten.div.Scalar_mode, aten.div.Tensor_mode, aten.floor_divide.default)
REMAINDERS = (
    aten.fmod.Scalar,
    aten.fmod.Tensor,
    aten.remainder.Scalar,
    aten.remainder.Scalar_Tensor,
    aten.remainder.Tensor,
)


def check_divisions(graph: torch.fx.Graph, checks: Checks) -> None:
    """Let `checks` hold that no integer of `graph` is divided by zero."""
    checked: set[torch.fx.Node] = set()
    for node in list(graph.nodes):
        if node.target in (*QUOTIENTS, *REMAINDERS) and divides_integers(node):
            divisor = node.args[1]
            if isinstance(divisor, torch.fx.Node) and isinstance(divisor.meta["val"], torch.SymInt):
                check_number(node, divisor, checks, checked)
            elif isinstance(divisor, torch.fx.Node):
                check_tensor(node, divisor, checks, checked)
            elif divisor == 0:
                check_zero(node, checks)


def divides_integers(node: torch.fx.Node) -> bool:
    """Whether an op divides integers, and gives some."""
    dtype = node.meta["val"].dtype
    is_true_division = node.target in QUOTIENTS[:2] and node.kwargs.get("rounding_mode") is None
    return not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool or is_true_division)


def check_zero(node: torch.fx.Node, checks: Checks) -> None:
    """A division by the number zero fails unless there is nothing to divide."""
    insert = Inserter(node.graph, node)
    # True wherever there is something.
    is_there = insert.call(aten.eq.Tensor, node.args[0], node.args[0])
    checks.add("division", insert.call(aten.any.default, is_there), said(node, checks))
    node.update_arg(1, 1)


def check_number(node: torch.fx.Node, divisor: torch.fx.Node, checks: Checks, checked: set[torch.fx.Node]) -> None:
    """Check a number that is known only at the call, or when the program runs. PyTorch takes a size for 2 or more."""
    insert = Inserter(node.graph, node)
    node.update_arg(1, number_tensor(insert, divisor))
    tensor = node.args[1]
    assert isinstance(tensor, torch.fx.Node)
    check_tensor(node, tensor, checks, checked)
    within = node.args[1]
    assert isinstance(within, torch.fx.Node)
    node.update_arg(1, insert.number(within))


def check_tensor(node: torch.fx.Node, divisor: torch.fx.Node, checks: Checks, checked: set[torch.fx.Node]) -> None:
    """Check the elements of `divisor`, and divide by 1 where they are 0 or -1."""
    low, _ = value_range(divisor) or (None, None)
    if low is not None and statically_known_true(low > 0):
        return
    insert = Inserter(node.graph, node)
    is_zero = insert.call(aten.eq.Scalar, divisor, 0)
    if divisor not in checked:
        has_failed = insert.call(aten.any.default, where_used(insert, node, divisor, is_zero))
        checks.add("division", has_failed, said(node, checks))
        checked.add(divisor)
    one = insert.call(aten.add.Tensor, insert.call(aten.mul.Tensor, divisor, 0), 1)
    if not divisor.meta["val"].dtype.is_signed:
        node.update_arg(1, insert.call(aten.where.self, is_zero, one, divisor))
        return
    is_negated = insert.call(aten.eq.Scalar, divisor, -1)
    is_replaced = insert.call(aten.logical_or.default, is_zero, is_negated)
    node.update_arg(1, insert.call(aten.where.self, is_replaced, one, divisor))
    if node.target in QUOTIENTS:
        negate(node, is_negated)


def where_used(insert: Inserter, node: torch.fx.Node, divisor: torch.fx.Node, is_zero: torch.fx.Node) -> torch.fx.Node:
    """`is_zero` for each element of the result: where that has none, a zero divides nothing."""
    shapes = divisor.meta["val"].shape, node.meta["val"].shape
    if len(shapes[0]) == len(shapes[1]) and all(statically_known_true(a == b) for a, b in zip(*shapes, strict=True)):
        return is_zero
    dividend: Any = node.args[0]
    if not isinstance(dividend, torch.fx.Node):
        return is_zero
    return insert.call(aten.logical_and.default, is_zero, insert.call(aten.eq.Tensor, dividend, dividend))


def negate(node: torch.fx.Node, is_negated: torch.fx.Node) -> None:
    """Let what uses the quotient `node` use its negative where the divisor is -1."""
    insert = Inserter(node.graph, node.next)
    negative = insert.call(aten.neg.default, node)
    chosen = insert.call(aten.where.self, is_negated, negative, node)
    for made in (negative, chosen):
        made.meta["stack_trace"] = node.meta.get("stack_trace")
    node.replace_all_uses_with(chosen, delete_user_cb=lambda user: user not in (negative, chosen))


def said(node: torch.fx.Node, checks: Checks) -> str:
    return f"{checks.place(node)}: an integer is divided by zero"
