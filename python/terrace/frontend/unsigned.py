"""Arithmetic on uint8: torch-mlir reads its bits as signed in many ops, and crashes on others, so it is done in int64.

Only casts are left on uint8 tensors, which torch-mlir lowers with the right sign. A cast back wraps, as uint8 does.
"""

from __future__ import annotations

import contextlib
import operator

import torch
from torch._guards import detect_fake_mode

from terrace.frontend.bodies import bodies_of

aten = torch.ops.aten

CASTS = {aten._to_copy.default, torch.ops.prims.convert_element_type.default}

SIZES = {aten.sym_size.int, aten.sym_numel.default}


def widen_unsigned(graph: torch.fx.Graph) -> None:
    """Let ops of `graph` that take or give uint8 tensors take and give int64, but for casts, sizes and control flow."""
    for node in list(graph.nodes):
        for body in bodies_of(node):
            widen_unsigned(body)
        is_left = node.target in (CASTS | SIZES) or node.target is operator.getitem or bodies_of(node)
        if node.op != "call_function" or is_left:
            continue
        if any(is_unsigned(value) for value in node.all_input_nodes):
            widen_inputs(graph, node)
        elif is_unsigned(node):
            narrow_result(graph, node)


def is_unsigned(node: torch.fx.Node) -> bool:
    """Whether a node is a uint8 tensor."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.uint8


def widen_inputs(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Cast the uint8 inputs of `node` to int64, and what it then gives back to what it gave."""
    for value in node.all_input_nodes:
        if is_unsigned(value):
            with graph.inserting_before(node):
                node.replace_input_with(value, cast(graph, value, torch.int64, node))
    if node.kwargs.get("dtype") == torch.uint8:
        node.kwargs = {**node.kwargs, "dtype": torch.int64}
    results = [user for user in node.users if user.target is operator.getitem] or [node]
    given = [result.meta["val"].dtype for result in results]
    update_value(node)
    for result, dtype in zip(results, given, strict=True):
        if result is not node:
            update_value(result)
        if result.meta["val"].dtype != dtype:
            cast_users(graph, result, dtype)


def narrow_result(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Let a node that makes a uint8 tensor of none (zeros, full) make one of int64, and cast it."""
    node.kwargs = {**node.kwargs, "dtype": torch.int64}
    update_value(node)
    cast_users(graph, node, torch.uint8)


def update_value(node: torch.fx.Node) -> None:
    """Compute what a node gives (its shape and dtype) from what its inputs give now."""
    arguments, keywords = torch.fx.node.map_arg((node.args, node.kwargs), lambda value: value.meta["val"])
    assert callable(node.target)
    # A node that makes a tensor of none would make a real one.
    with detect_fake_mode(node.meta["val"]) or contextlib.nullcontext():
        set_value(node, node, node.target(*arguments, **keywords))


def cast_users(graph: torch.fx.Graph, node: torch.fx.Node, dtype: torch.dtype) -> None:
    """Let all that use `node` use a cast of it."""
    with graph.inserting_after(node):
        narrow = cast(graph, node, dtype, node)
    node.replace_all_uses_with(narrow, delete_user_cb=lambda user: user is not narrow)


def cast(graph: torch.fx.Graph, value: torch.fx.Node, dtype: torch.dtype, at: torch.fx.Node) -> torch.fx.Node:
    """A cast of `value`, with the user's line of `at`."""
    node = graph.call_function(aten._to_copy.default, (value,), {"dtype": dtype})
    set_value(node, at, value.meta["val"].to(dtype))
    return node


def set_value(node: torch.fx.Node, at: torch.fx.Node, value: object) -> None:
    """Say what `node` gives, at the user's line of `at`. The importer would prefer an old "tensor_meta"."""
    node.meta = {name: kept for name, kept in at.meta.items() if name != "tensor_meta"} | {"val": value}
