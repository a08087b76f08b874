"""Cuts a functional graph of aten ops into the regions that Terrace may compile and the ops that PyTorch runs.

PyTorch keeps: arithmetic on sizes, random numbers (its generators are its own), what is not on dense CPU tensors, and
the views that end in a result. Those are made from the program's result by the same views as in eager, so they have
its strides, and share memory with one another as they do there.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import Argument
from torch.fx.passes.infra.partitioner import CapabilityBasedPartitioner
from torch.fx.passes.operator_support import OperatorSupportBase
from torch.fx.passes.utils.fuser_utils import fuse_by_partitions

from terrace.frontend.program import ASSERTIONS, is_random
from terrace.signature import DTYPES
from terrace.structure import dtype_name

NUMBERS = (torch.SymInt, torch.SymFloat, torch.SymBool, int, float)
REGION = "terrace_region_"
"""What the names of the modules of regions begin with."""


def split_regions(graph_module: GraphModule, refused: Collection[str] = ()) -> GraphModule:
    """A copy of `graph_module` with each of its regions in a module of its own, which returns a tuple.

    `refused` are ops, as `op_name` gives them, that PyTorch is to run. There is no region in a graph that writes to
    memory, nor in one whose random ops would change places.
    """
    whole = GraphModule(graph_module, copy.deepcopy(graph_module.graph))
    if any(writes(node) for node in whole.graph.nodes):
        return whole
    split = GraphModule(graph_module, copy.deepcopy(graph_module.graph))
    keep_views_of_results(split.graph)
    supported = Listed(supported_nodes(split.graph, refused))
    partitioner = CapabilityBasedPartitioner(split, supported, allows_single_node_partition=True)
    regions = [region.nodes for region in partitioner.propose_partitions() if computes(region.nodes)]
    fuse_by_partitions(split, regions, prefix=REGION, always_return_tuple=True)
    split.recompile()
    left = {node.name for node in split.graph.nodes}
    is_in_order = [name for name in ordered_nodes(whole.graph) if name in left] == ordered_nodes(split.graph)
    return split if is_in_order else whole


def regions_of(graph_module: GraphModule) -> dict[str, GraphModule]:
    """The modules of `graph_module` that are regions, by name."""
    children = graph_module.named_children()
    return {name: child for name, child in children if isinstance(child, GraphModule) and name.startswith(REGION)}


def op_name(node: Node) -> str:
    """The name that torch-mlir gives the op of a node."""
    return f"torch.{node.target}".removesuffix(".default")


class Listed(OperatorSupportBase):
    """Takes the nodes of a set."""

    def __init__(self, nodes: Collection[Node]) -> None:
        self._nodes = nodes

    def is_node_supported(self, submodules: Mapping[str, torch.nn.Module], node: Node) -> bool:
        return node in self._nodes


def supported_nodes(graph: Graph, refused: Collection[str]) -> set[Node]:
    """The nodes that may be in a region. Numbers are, only if they depend on a tensor that a region makes."""
    supported: set[Node] = set()
    for node in graph.nodes:
        if node.op != "call_function" or node.meta.get("stays"):
            continue
        if is_number(node) or node.target is operator.getitem:
            takes = any(value in supported for value in node.all_input_nodes)
        else:
            takes = isinstance(node.target, OpOverload) and node.target not in ASSERTIONS and not is_random(node)
            takes = takes and op_name(node) not in refused
            takes = takes and all(is_plain(value) for each in (node, *node.all_input_nodes) for value in values(each))
        if takes:
            supported.add(node)
    return supported


def values(node: Node) -> list[Any]:
    """What a node gives."""
    value = node.meta.get("val")
    return list(value) if isinstance(value, (tuple, list)) else [value]


def is_number(node: Node) -> bool:
    return isinstance(node.meta.get("val"), NUMBERS)


def is_plain(value: Argument) -> bool:
    """Whether a value is a number, or a dense tensor of a known type on the CPU."""
    if not isinstance(value, torch.Tensor):
        return value is None or isinstance(value, NUMBERS)
    return value.device.type == "cpu" and value.layout == torch.strided and dtype_name(value) in DTYPES


def is_view(node: Node) -> bool:
    """Whether a node gives a view, or several, of its first input, or is one of several."""
    if node.target is operator.getitem:
        return is_view(node.all_input_nodes[0])
    return isinstance(node.target, OpOverload) and node.target.is_view


def writes(node: Node) -> bool:
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable


def computes(nodes: Iterable[Node]) -> bool:
    """Whether nodes do more than views and arithmetic on sizes."""
    return any(not (is_view(node) or is_number(node) or node.target is operator.getitem) for node in nodes)


def ordered_nodes(graph: Graph) -> list[str]:
    """The nodes whose order matters: those that draw random numbers, may do so inside, or act on the world."""
    calls = [node for node in graph.nodes if node.op == "call_function"]
    return [node.name for node in calls if is_random(node) or is_higher_order(node) or node.is_impure()]


def is_higher_order(node: Node) -> bool:
    return isinstance(node.target, torch._ops.HigherOrderOperator)


def keep_views_of_results(graph: Graph) -> None:
    """Make the results that are views by copies of these views, which stay outside of regions."""
    output = graph.output_node()
    kept: dict[Node, Node] = {}

    def keep(node: Node) -> Node:
        if not is_view(node):
            return node
        if node not in kept:
            source = keep(node.all_input_nodes[0])
            with graph.inserting_before(output):
                kept[node] = graph.node_copy(node, lambda value: source if value is node.all_input_nodes[0] else value)
            kept[node].meta = {**node.meta, "stays": True}
        return kept[node]

    output.args = torch.fx.node.map_arg(output.args, keep)
    graph.eliminate_dead_code()
