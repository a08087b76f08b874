"""Fuses the elementwise ops that follow a contraction into its kernel: bias, activation, scale, mask, residual.

The kernel families say which ops take such an epilogue (`fusing_roots`). It works on the tile that is in registers, so
that the op's own result is never written to memory.
"""

from __future__ import annotations

import dataclasses
import heapq

from terrace.dialects.base import element_type_of, shape_of
from terrace.lowering.graph.builders import splat_value, users_of
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.graph.fusion import fuse, is_fusible
from terrace.lowering.kernels.group import KERNEL_TYPES, MOST_OPERANDS
from terrace.lowering.kernels.registry import fusing_roots
from terrace.mlir import ir, walk
from terrace.passes import Pass


def find_epilogue(root: ir.Operation, position: dict[ir.Value, int]) -> list[ir.Operation]:
    """`root` and the elementwise ops after it that one kernel can compute, its last one the only one used outside.

    `position` numbers results in program order. Users are taken in that order, so that branches that meet again
    (x * sigmoid(x)) are fused whole, and the group is good wherever only its latest value is still in use.
    """
    shape = shape_of(root.results[0])
    group, good = [root], 1
    read = set(root.operands)
    found: dict[int, ir.Operation] = {}
    pending: list[int] = []
    while True:
        for user in users_of(group[-1].results[0]):
            # A user in another block is part of another group, or under control flow.
            if user.block != root.block or not is_fusible(user, shape):
                continue
            number = position[user.results[0]]
            if number not in found:
                found[number] = user
                heapq.heappush(pending, number)
        if not pending:
            return group[:good]
        following = found[heapq.heappop(pending)]
        outside = _outside(following, group)
        if not all(_is_kernel_type(value) for value in outside) or len(read | outside) > MOST_OPERANDS:
            continue
        read |= outside
        group.append(following)
        if _is_closed(group) and _is_kernel_type(following.results[0]):
            good = len(group)


def _is_kernel_type(value: ir.Value) -> bool:
    return str(element_type_of(value)) in KERNEL_TYPES


def _outside(operation: ir.Operation, group: list[ir.Operation]) -> set[ir.Value]:
    """What `operation` reads from outside `group`."""
    inside = {value for op in group for value in op.results}
    return {value for value in operation.operands if value not in inside and splat_value(value) is None}


def _is_closed(group: list[ir.Operation]) -> bool:
    """Whether nothing outside `group` uses any of its values but the last op's."""
    return all(user in group for op in group[:-1] for value in op.results for user in users_of(value))


@dataclasses.dataclass(frozen=True)
class FuseEpilogue(Pass):
    """Fuse a matmul or convolution with the elementwise ops that follow it."""

    name = "fuse-epilogue"

    def run(self, module: ir.Operation) -> None:
        constant = constant_values(module)
        operations = list(walk(module))
        position = {op.results[0]: number for number, op in enumerate(operations) if len(op.results) == 1}
        for root in [op for op in operations if op.name in fusing_roots()]:
            if root.results[0] in constant or root.parent.name == "graph.fusion":
                continue
            group = find_epilogue(root, position)
            if len(group) > 1:
                fuse(group)
