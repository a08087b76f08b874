"""Conditions that a graph asserts: those on data become checks that it makes while it runs.

What they say of sizes alone is checked at each call (`terrace.frontend.guards`).
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.fx.node import Argument

from terrace.frontend.checks import Checks
from terrace.frontend.inserter import Inserter
from terrace.frontend.symbolic_tensors import condition_tensor

aten = torch.ops.aten


def check_assertions(graph: torch.fx.Graph, checks: Checks) -> None:
    """Let `checks` hold what `graph` asserts of its data. The assertions are left, without an effect."""
    failing: dict[torch.fx.Node, list[torch.fx.Node]] = defaultdict(list)
    for node in list(graph.nodes):
        if node.target == aten._assert_async.msg:
            check_tensor(node, checks)
        elif node.target == aten._assert_scalar.default and says_something(node.args[0]):
            number, failed = check_number(node, checks)
            failing[number].append(failed)
    for number, flags in failing.items():
        replace_number(graph, number, flags)


def check_tensor(node: torch.fx.Node, checks: Checks) -> None:
    """Check the tensor that `torch._assert_async` takes."""
    condition, message = node.args
    failed = Inserter(node.graph, node).call(aten.logical_not.default, condition)
    checks.add("assertion", failed, f"{checks.place(node)}: {message}")


def says_something(condition: Argument) -> bool:
    """Whether a condition depends on data, and on nothing that a compiled program has not."""
    if not isinstance(condition, torch.fx.Node) or not free_unbacked_symbols(condition.meta["val"]):
        return False
    return not any(node.target == aten.sym_storage_offset.default for node in parts_of(condition))


def parts_of(condition: torch.fx.Node) -> list[torch.fx.Node]:
    """The numbers and conditions that one is made of, itself included."""
    parts = [condition]
    for part in parts:
        parts += [other for other in part.all_input_nodes if isinstance(other.meta.get("val"), SYMBOLIC)]
    return parts


SYMBOLIC = (torch.SymBool, torch.SymInt, torch.SymFloat)


def check_number(node: torch.fx.Node, checks: Checks) -> tuple[torch.fx.Node, torch.fx.Node]:
    """Check a condition on numbers; gives the last number that it is made of, and whether it fails."""
    condition = node.args[0]
    assert isinstance(condition, torch.fx.Node)
    insert = Inserter(node.graph, node)
    failed = insert.call(aten.logical_not.default, condition_tensor(insert, condition))
    symbols = free_unbacked_symbols(condition.meta["val"])
    numbers = {part for part in parts_of(condition) if free_unbacked_symbols(part.meta["val"]) == symbols}
    number = next(other for other in node.graph.nodes if other in numbers)
    checks.add("assertion", failed, f"{checks.place(number)}: expected {checks.names.text(condition.meta['val'])}")
    return number, failed


def replace_number(graph: torch.fx.Graph, number: torch.fx.Node, flags: list[torch.fx.Node]) -> None:
    """Where an assertion on an element of a tensor fails, let what follows take the least number that it may be.

    What is computed before the call fails has sizes that fit one another then, so it stays in its own memory.
    """
    if number.target != aten._local_scalar_dense.default:
        return
    places = {node: place for place, node in enumerate(graph.nodes)}
    last = max(flags, key=lambda flag: places[flag])
    users = [user for user in number.users if places[user] > places[last] and not is_condition(user)]
    if not users:
        return
    insert = Inserter(graph, last.next)
    tensor, failed = number.args[0], flags[0]
    for flag in flags[1:]:
        failed = insert.call(aten.logical_or.default, failed, flag)
    assert isinstance(tensor, torch.fx.Node)
    least = insert.call(aten.scalar_tensor.default, least_of(number), dtype=tensor.meta["val"].dtype)
    within = insert.number(insert.call(aten.where.self, failed, least, tensor))
    within.meta["val"] = number.meta["val"]
    for user in users:
        user.replace_input_with(number, within)


def is_condition(node: torch.fx.Node) -> bool:
    return isinstance(node.meta.get("val"), torch.SymBool)


def least_of(number: torch.fx.Node) -> int:
    """The least that a number may be, by what was asserted of it."""
    value = number.meta["val"].node
    low = value.shape_env.bound_sympy(value.expr).lower
    return int(low) if low.is_Integer else 0
