"""What bodies of control flow take and write to, as PyTorch's functional form wants it: nothing twice, and nothing."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch._ops import HigherOrderOperator, OpOverload
from torch.export import ExportedProgram

from terrace.errors import ModelImportError
from terrace.frontend.graph_copy import copy_of
from terrace.frontend.source import at_line


def with_distinct_operands(program: ExportedProgram) -> ExportedProgram:
    """`program`, whose control flow takes no memory twice: of what it would, a copy.

    Raises `ModelImportError` for a body that writes to what it takes.
    """
    if not any(isinstance(node.target, HigherOrderOperator) for node in program.graph.nodes):
        return program
    module = copy_of(program.graph_module)
    for graph_module, holder in with_holders(module, None):
        if holder is not None:
            refuse_writes(graph_module.graph, holder)
        for node in list(graph_module.graph.nodes):
            if isinstance(node.target, HigherOrderOperator):
                copy_repeated(node)
    return program._update(module, program.graph_signature, state_dict=program.state_dict)


def with_holders(
    module: torch.fx.GraphModule, holder: torch.fx.Node | None
) -> Iterator[tuple[torch.fx.GraphModule, torch.fx.Node | None]]:
    """A module and all bodies in it, each with the op that takes it."""
    yield module, holder
    for node in module.graph.nodes:
        body = getattr(module, str(node.target), None) if node.op == "get_attr" else None
        if isinstance(body, torch.fx.GraphModule):
            yield from with_holders(body, next(iter(node.users), None))


def memory_of(node: torch.fx.Node) -> int | None:
    """What is equal for tensors in the same memory; None for what is no tensor."""
    value = node.meta.get("val")
    return value.untyped_storage()._cdata if isinstance(value, torch.Tensor) else None


def copy_repeated(node: torch.fx.Node) -> None:
    """Let `node` take a copy of each operand whose memory it takes already."""
    taken: set[int] = set()

    def distinct(operand: torch.fx.Node) -> torch.fx.Node:
        memory = memory_of(operand)
        if memory is None or memory not in taken:
            taken.update([] if memory is None else [memory])
            return operand
        with node.graph.inserting_before(node):
            made = node.graph.call_function(torch.ops.aten.clone.default, (operand,))
        made.meta = {**operand.meta, "val": operand.meta["val"].clone()}
        return made

    node.args = torch.fx.node.map_arg(node.args, distinct)


def refuse_writes(body: torch.fx.Graph, holder: torch.fx.Node) -> None:
    """Raise for an op of `body` that writes to what `holder` gives it."""
    taken = {memory_of(node) for node in body.find_nodes(op="placeholder")} - {None}
    for node in body.nodes:
        if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:
            continue
        for argument, value in zip(node.target._schema.arguments, node.args, strict=False):
            is_written = argument.alias_info is not None and argument.alias_info.is_write
            if is_written and isinstance(value, torch.fx.Node) and memory_of(value) in taken:
                raise ModelImportError(
                    f"the model writes{at_line(node)} to what {holder.target}{at_line(holder)} did not make itself,"
                    " which is not supported: let the body return the new value, and carry it"
                )
