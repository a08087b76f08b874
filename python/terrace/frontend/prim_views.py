"""Primitives that give a view of their operand, which a model may call: PyTorch cannot make them functional."""

from __future__ import annotations

import copy

import torch
from torch.export import ExportedProgram

from terrace.errors import ModelImportError
from terrace.frontend.source import at_line

aten, prims = torch.ops.aten, torch.ops.prims

IN_ATEN = {
    prims.conj.default: aten._conj.default,
    prims.imag.default: aten.imag.default,
    prims.real.default: aten.real.default,
    prims.squeeze.default: aten.squeeze.dims,
    prims.transpose.default: aten.permute.default,
    prims.view_of.default: aten.alias.default,
    prims.view_of_dtype.default: aten.view.dtype,
}
"""The ops of ATen that take the same arguments."""


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
        node.target = IN_ATEN[node.target]
    return program._update(module, program.graph_signature, state_dict=program.state_dict)


def is_prim_view(node: torch.fx.Node) -> bool:
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "prims":
        return False
    return any(result.alias_info is not None for result in target._schema.returns)
