"""float8 is a type for storage, which no program stores: such tensors are float32 inside, of numbers that float8 has.

The casts to float8 have rounded them (`decompositions.float8`): IREE would round otherwise than PyTorch.
"""

from __future__ import annotations

import torch

from terrace.errors import ModelImportError
from terrace.frontend.decompositions.float8 import SATURATES
from terrace.frontend.source import at_line
from terrace.frontend.unsigned import update_value


def hold_as_float32(graph: torch.fx.Graph) -> None:
    """Let every op of `graph` that takes or gives float8 take and give float32."""
    held: set[torch.fx.Node] = set()
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten.view.dtype):
        if is_held(node) or is_held(node.args[0]):
            raise ModelImportError(
                f"the model looks at the bits of float8{at_line(node)}, which is not supported: convert it to float32"
            )
    for node in graph.nodes:
        if node.op != "call_function" or not (is_held(node) or held.intersection(node.all_input_nodes)):
            continue
        if is_held(node):
            held.add(node)
        node.args = tuple(torch.float32 if is_float8(value) else value for value in node.args)
        node.kwargs = {name: torch.float32 if is_float8(value) else value for name, value in node.kwargs.items()}
        update_value(node)


def is_held(node: torch.fx.Node) -> bool:
    """Whether a node gives float8."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and is_float8(value.dtype)


def is_float8(value: object) -> bool:
    return isinstance(value, torch.dtype) and value in SATURATES
