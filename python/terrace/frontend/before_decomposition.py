"""Ops that are replaced before PyTorch decomposes a program.

It cannot make primitives functional that give a view of their operand. Resizes by nearest neighbours it keeps whole,
whatever a table says: the scales that they are given may be others than their sizes have, and our decomposition alone
follows eager there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram

from terrace.errors import ModelImportError
from terrace.frontend.decompositions.resizing import NEAREST
from terrace.frontend.graph_copy import copy_of
from terrace.frontend.own_operators import resize_nearest
from terrace.frontend.source import at_line

aten, prims = torch.ops.aten, torch.ops.prims


def resize(op: OpOverload, offset: float) -> tuple[OpOverload, Callable[..., tuple[Any, ...]]]:
    """`upsample_nearest` (offset 0) or `_upsample_nearest_exact` (0.5), with a scale of 0 for none."""
    names = [argument.name for argument in op._schema.arguments[2:]]

    def arguments(value: Any, output_size: Any, *scales: Any, **named: Any) -> tuple[Any, ...]:
        given = {**dict(zip(names, scales, strict=False)), **named}
        return value, output_size, [given.get(name) or 0.0 for name in names], offset

    return resize_nearest, arguments


REPLACED: dict[Any, tuple[OpOverload, Callable[..., tuple[Any, ...]]]] = {
    prims.collapse_view.default: (aten.flatten.using_ints, lambda value, start, end: (value, start, end)),
    prims.conj.default: (aten._conj.default, lambda value: (value,)),
    prims.imag.default: (aten.imag.default, lambda value: (value,)),
    prims.real.default: (aten.real.default, lambda value: (value,)),
    prims.split_dim.default: (aten.unflatten.int, lambda value, dim, outer: (value, dim, [outer, -1])),
    prims.squeeze.default: (aten.squeeze.dims, lambda value, dims: (value, dims)),
    prims.transpose.default: (aten.permute.default, lambda value, dims: (value, dims)),
    prims.view_of.default: (aten.alias.default, lambda value: (value,)),
    prims.view_of_dtype.default: (aten.view.dtype, lambda value, dtype: (value, dtype)),
    **{op.default: resize(op.default, offset) for offset, ops in NEAREST.items() for op in ops},
}
"""The op that stands for each, and its arguments."""


def with_ops_replaced(program: ExportedProgram) -> ExportedProgram:
    """`program` with other ops for such; raises `ModelImportError` for primitives that have no equal in ATen."""
    if not any(node.target in REPLACED or is_prim_view(node) for node in program.graph.nodes):
        return program
    module = copy_of(program.graph_module)
    for node in [node for node in module.graph.nodes if node.target in REPLACED or is_prim_view(node)]:
        if node.target not in REPLACED:
            raise ModelImportError(
                f"the model calls torch.ops.{node.target}{at_line(node)}: call an op of ATen instead"
            )
        node.target, arguments = REPLACED[node.target]
        node.args, node.kwargs = arguments(*node.args, **node.kwargs), {}
    return program._update(module, program.graph_signature, state_dict=program.state_dict)


def is_prim_view(node: torch.fx.Node) -> bool:
    target = node.target
    if not isinstance(target, OpOverload) or target.namespace != "prims":
        return False
    return any(result.alias_info is not None for result in target._schema.returns)
