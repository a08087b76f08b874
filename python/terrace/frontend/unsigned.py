"""Arithmetic on uint8: torch-mlir reads its bits as signed in many ops, and crashes on others.

So it is done in int32 and cast back, which wraps, as uint8 does. Casts are left on uint8 tensors, and ops whose results
have the same bits for numbers of either sign.
"""

from __future__ import annotations

import contextlib
import operator

import torch
from torch._guards import detect_fake_mode
from torch.utils import _pytree as pytree

from terrace.frontend.bodies import bodies_of
from terrace.lowering.conversion.torch_to_graph.unsigned import OF_EITHER_SIGN

aten = torch.ops.aten

CASTS = {aten._to_copy.default, torch.ops.prims.convert_element_type.default}

COMPARISONS = {getattr(aten, name).Scalar for name in ("eq", "ge", "gt", "le", "lt", "ne")}

BY_NUMBERS = {aten.div.Tensor_mode, aten.floor_divide.default, aten.fmod.Scalar, aten.remainder.Scalar, *COMPARISONS}
"""Ops whose results depend on more than the last 8 bits of a number: it is a uint8 in eager, so -3 is 253."""

SIZES = {aten.sym_size.int, aten.sym_numel.default}


def widen_unsigned(graph: torch.fx.Graph) -> None:
    """Let ops of `graph` that take or give uint8 tensors take and give int32, but for those that are right on it."""
    for node in list(graph.nodes):
        for body in bodies_of(node):
            widen_unsigned(body)
        is_right = node.target in (CASTS | SIZES) or (is_unsigned(node) and is_of_either_sign(node.target))
        is_left = is_right or node.target is operator.getitem or bool(bodies_of(node))
        if node.op != "call_function" or is_left:
            continue
        if any(is_unsigned(value) for value in node.all_input_nodes):
            widen_inputs(graph, node)
        elif is_unsigned(node):
            narrow_result(graph, node)


def is_of_either_sign(target: object) -> bool:
    """Whether an op of PyTorch's that gives uint8 only asks for the last 8 bits of its operands."""
    return f"torch.{target}".removesuffix(".default") in OF_EITHER_SIGN


def is_unsigned(node: torch.fx.Node) -> bool:
    """Whether a node is a uint8 tensor."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.uint8


def widen_inputs(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Cast the uint8 inputs of `node` to a wider type, and what it then gives back to what it gave."""
    wide = wide_type(node)
    for value in node.all_input_nodes:
        if is_unsigned(value):
            with graph.inserting_before(node):
                node.replace_input_with(value, cast(graph, value, wide, node))
    if node.kwargs.get("dtype") == torch.uint8:
        node.kwargs = {**node.kwargs, "dtype": wide}
    if node.target in BY_NUMBERS and all(value.meta["val"].dtype == wide for value in node.all_input_nodes):
        node.args = tuple(value % 256 if type(value) is int else value for value in node.args)
    results = [user for user in node.users if user.target is operator.getitem] or [node]
    given = [result.meta["val"].dtype for result in results]
    update_value(node)
    for result, dtype in zip(results, given, strict=True):
        if result is not node:
            update_value(result)
        if result.meta["val"].dtype != dtype:
            cast_users(graph, result, dtype)


def wide_type(node: torch.fx.Node) -> torch.dtype:
    """int32, unless a number among the arguments of `node` needs int64."""
    numbers = [value for value in pytree.tree_leaves((node.args, node.kwargs)) if isinstance(value, int)]
    return torch.int32 if all(-(2**31) <= number < 2**31 for number in numbers) else torch.int64


def narrow_result(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Let a node that makes a uint8 tensor of none (zeros, full) make one of int32, and cast it."""
    node.kwargs = {**node.kwargs, "dtype": wide_type(node)}
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
