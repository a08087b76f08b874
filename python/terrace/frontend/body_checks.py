"""The checks that the bodies of control flow make: each body gives the number of its first check that failed, or 0.

Of a loop the first number that is not 0 is carried on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from terrace.errors import ModelImportError
from terrace.frontend.bodies import COND, SCAN, bodies_of, insert_result, nodes_with_bodies, results_of
from terrace.frontend.checks import CODE, Checks
from terrace.frontend.inserter import Inserter
from terrace.frontend.source import at_line

aten = torch.ops.aten

Insert = Callable[[torch.fx.Graph, Checks], None]
"""Puts checks into a graph, which then gives the number of the first that failed as its last result, if it has any."""


def check_bodies(graph: torch.fx.Graph, checks: Checks, insert_into: Insert) -> None:
    """Let the bodies in `graph` make their checks, and `checks` hold them."""
    for node in nodes_with_bodies(graph):
        made = [Checks(checks.names) for _ in bodies_of(node)]
        for body, own in zip(bodies_of(node), made, strict=True):
            insert_into(body, own)
        if not any(own.checks for own in made):
            continue
        code = of_branches(node, made) if node.target is COND else of_loop(node, made)
        insert = Inserter(graph, code.next)
        numbered = enumerate((check for own in made for check in own.checks), 1)
        for number, check in numbered:
            checks.add(check.kind, insert.call(aten.eq.Scalar, code, number), check.message)
        checks.indexed += [sizes for own in made for sizes in own.indexed]


def of_branches(node: torch.fx.Node, made: list[Checks]) -> torch.fx.Node:
    """Both branches give a number; those of the second branch follow those of the first."""
    then, other = bodies_of(node)
    for body, own in zip((then, other), made, strict=True):
        insert = Inserter(body, body.output_node())
        if not own.checks:
            zero = insert.call(aten.full.default, [], 0, dtype=CODE)
            body.output_node().args = ((*results_of(body), zero),)
        elif body is other:
            *results, code = results_of(body)
            later = insert.call(aten.add.Tensor, code, len(made[0].checks))
            numbered = insert.call(aten.where.self, insert.call(aten.ne.Scalar, code, 0), later, code)
            body.output_node().args = ((*results, numbered),)
    return insert_result(node, len(node.meta["val"]), results_of(then)[-1].meta["val"])


def of_loop(node: torch.fx.Node, made: list[Checks]) -> torch.fx.Node:
    """The body, a loop's last graph, carries the number."""
    if node.target is not SCAN and made[0].checks:
        raise ModelImportError(
            f"the condition of a while_loop{at_line(node)} looks up or divides what may be out of range, which is not"
            " supported: compute it in the body, and carry it"
        )
    place = 0 if node.target is SCAN else 1
    carried: Any = node.args[1 if node.target is SCAN else 2]
    zero = Inserter(node.graph, node).call(aten.full.default, [], 0, dtype=CODE)
    node.update_arg(1 if node.target is SCAN else 2, [*carried, zero])
    before = None
    for graph in bodies_of(node):
        before = placeholder_after(graph, len(carried), zero)
    body = bodies_of(node)[place]
    *results, code = results_of(body)
    insert = Inserter(body, body.output_node())
    first = insert.call(aten.where.self, insert.call(aten.ne.Scalar, before, 0), before, code)
    body.output_node().args = ((*results[: len(carried)], first, *results[len(carried) :]),)
    return insert_result(node, len(carried), zero.meta["val"])


def placeholder_after(graph: torch.fx.Graph, place: int, like: torch.fx.Node) -> torch.fx.Node:
    """A placeholder more, at `place`."""
    following = [*graph.find_nodes(op="placeholder"), *(n for n in graph.nodes if n.op != "placeholder")][place]
    with graph.inserting_before(following):
        made = graph.placeholder(f"failed_{place}")
    made.meta = {"val": like.meta["val"]}
    return made
