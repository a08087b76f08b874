"""Primitives that give a view of their operand, which a model may call: PyTorch cannot make them functional."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram

from terrace.errors import ModelImportError
from terrace.frontend.source import at_line

aten, prims = torch.ops.aten, torch.ops.prims

IN_ATEN: dict[Any, tuple[OpOverload, Callable[..., tuple[Any, ...]]]] = {
    prims.collapse_view.default: (aten.flatten.using_ints, lambda value, start, end: (value, start, end)),
    prims.conj.default: (aten._conj.default, lambda value: (value,)),
    prims.imag.default: (aten.imag.default, lambda value: (value,)),
    prims.real.default: (aten.real.default, lambda value: (value,)),
    prims.split_dim.default: (aten.unflatten.int, lambda value, dim, outer: (value, dim, [outer, -1])),
    prims.squeeze.default: (aten.squeeze.dims, lambda value, dims: (value, dims)),
    prims.transpose.default: (aten.permute.default, lambda value, dims: (value, dims)),
    prims.view_of.default: (aten.alias.default, lambda value: (value,)),
    prims.view_of_dtype.default: (aten.view.dtype, lambda value, dtype: (value, dtype)),
}
"""The op of ATen for each, and its arguments."""


def without_prim_views(program: ExportedProgram) -> ExportedProgram:
    """`program` with such ops as ATen's; raises `ModelImportError` for those that have no equal there."""
    if not any(is_prim_view(node) for node in program.graph.nodes):
        return program
    module = copy.deepcopy(program.graph_module)
    for node in filter(is_prim_view, module.graph.nodes):
        if node.target not in IN_ATEN:
            raise ModelImportError(
                f"the model calls torch.ops.{node.target}{at_line(node)}: call an op of ATen instead"
            )
        node.target, arguments = IN_ATEN[node.target]
        node.args, node.kwargs = arguments(*node.args, **node.kwargs), {}
    return program._update(module, program.graph_signature, state_dict=program.state_dict)


def is_prim_view(node: torch.fx.Node) -> bool:
    target = node.target
    if not isinstance(target, OpOverload) or target.namespace != "prims":
        return False
    return any(result.alias_info is not None for result in target._schema.returns)
