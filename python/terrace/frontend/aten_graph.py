"""From a functional graph of aten ops, such as AOTAutograd makes, to a module of graph ops.

`import_model` begins at a model, which torch.export captures; here somebody else has captured it already.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

import torch

from terrace.checks import Check
from terrace.frontend.exported_signature import leaf_of_value
from terrace.frontend.importer import ImportedModel, import_graph
from terrace.frontend.legalize import legalize
from terrace.frontend.program import Program, insert_checks, output_nodes, simplify
from terrace.frontend.size_names import SizeNames
from terrace.frontend.symbol_names import Symbol
from terrace.frontend.symbols import lift_symbols
from terrace.frontend.unsigned import widen_unsigned
from terrace.mlir import ir, load_torch_dialects
from terrace.signature import Leaf, Signature
from terrace.structure import Tree

aten = torch.ops.aten


def import_aten_graph(
    graph: torch.fx.Graph, parameters: Collection[str], context: ir.Context, check_indices: bool = True
) -> tuple[ImportedModel, list[str]]:
    """Import `graph`, whose nodes hold fake tensors (and SymInts) as "val", and which returns a tuple of nodes.

    The placeholders named in `parameters` become symbols of these names; the caller puts their tensors into the
    result's `parameters`, which is empty, before a value is asked for. Of the others, those that the program takes
    are its arguments, whose names are the second result. `graph` is not written. Raises `ModelImportError`.
    """
    load_torch_dialects(context)
    graph = copy.deepcopy(graph)
    put_placeholders_first(graph)
    bind_sizes(graph)
    names = argument_names(graph, parameters)
    checks = insert_checks(graph, SizeNames(), check_indices).checks
    simplify(graph)
    widen_unsigned(graph)
    placeholders = placeholders_of(graph)
    symbols = [None if node.name in names else Symbol(node.name) for node in placeholders]
    inputs = [leaf_of_value(node.name, node.meta["val"]) for node in placeholders if node.name in names]
    results = output_nodes(graph.output_node())
    # The last is the outcome of the checks.
    results = results[:-1] if checks else results
    outputs = [leaf_of_value(node.name, node.meta["val"]) for node in results]
    module = import_graph(graph, context)
    lift_symbols(module, Program(graph, symbols, [], {}, {}))
    legalize(module)
    return ImportedModel(module, {}, plain_signature(inputs, outputs, checks)), names


def put_placeholders_first(graph: torch.fx.Graph) -> None:
    """Move the placeholders before all else, in their order: where a graph was cut, they stand where they are used."""
    for node in reversed(placeholders_of(graph)):
        next(iter(graph.nodes)).prepend(node)


def placeholders_of(graph: torch.fx.Graph) -> list[torch.fx.Node]:
    return [node for node in graph.nodes if node.op == "placeholder"]


def argument_names(graph: torch.fx.Graph, parameters: Collection[str]) -> list[str]:
    """Erase the placeholders that no op uses; the names of those that are left and no parameters."""
    for node in placeholders_of(graph):
        if not node.users:
            graph.erase_node(node)
    return [node.name for node in placeholders_of(graph) if node.name not in parameters]


def bind_sizes(graph: torch.fx.Graph) -> None:
    """Take each symbolic int that is a size of an argument from there, so that it need not be passed."""
    placeholders = placeholders_of(graph)
    sizes: dict[Any, tuple[torch.fx.Node, int]] = {}
    for node in placeholders:
        if isinstance(node.meta["val"], torch.Tensor):
            for axis, size in enumerate(node.meta["val"].shape):
                if isinstance(size, torch.SymInt):
                    sizes.setdefault(size.node.expr, (node, axis))
    for node in placeholders:
        value = node.meta["val"]
        if not isinstance(value, torch.SymInt) or value.node.expr not in sizes:
            continue
        with graph.inserting_after(placeholders[-1]):
            bound = graph.call_function(aten.sym_size.int, sizes[value.node.expr])
        bound.meta = {**node.meta}
        node.replace_all_uses_with(bound)


def plain_signature(inputs: list[Leaf], outputs: list[Leaf], checks: list[Check]) -> Signature:
    """Arguments in, a tuple out."""
    arguments = Tree("tuple", [Tree("leaf") for _ in inputs])
    results = Tree("tuple", [Tree("leaf") for _ in outputs])
    return Signature(Tree("tuple", [arguments, Tree("dict")]), inputs, results, outputs, checks=checks)
