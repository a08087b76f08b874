"""Fuses connected elementwise ops of one shape into one kernel, so that what lies between them stays in registers.

Run after `fuse-epilogue`: an elementwise op costs least inside a contraction. Constant expressions stay out, as they
are computed once, ahead; single ops too, as they are kernels already.
"""

from __future__ import annotations

import dataclasses
import heapq

from terrace.dialects.base import shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.building import users_of
from terrace.lowering.constants import constant_operations
from terrace.lowering.fusion import fuse, gives_booleans, is_fusible
from terrace.mlir import ir, operation_of, walk
from terrace.passes import Pass


def find_group(
    last: ir.Operation, position: dict[ir.Operation, int], excluded: set[ir.Operation]
) -> list[ir.Operation]:
    """`last` and all elementwise ops before it that only this group uses, in program order.

    Producers are tried from the last to the first, so that all users of one are decided on before itself.
    """
    shape = shape_of(last.results[0])
    group = {last}
    seen = {last}
    pending = [(0, last)]
    while pending:
        _, candidate = heapq.heappop(pending)
        if candidate != last and not all(user in group for user in users_of(candidate.results[0])):
            continue
        group.add(candidate)
        for producer in filter(None, map(operation_of, candidate.operands)):
            if producer in seen or producer in excluded or producer.block != last.block:
                continue
            seen.add(producer)
            if is_fusible(producer, shape):
                heapq.heappush(pending, (-position[producer], producer))
    return sorted(group, key=lambda op: position[op])


@dataclasses.dataclass(frozen=True)
class FuseElementwise(Pass):
    """Fuse elementwise ops that feed each other and have one shape."""

    name = "fuse-elementwise"

    def run(self, module: ir.Operation) -> None:
        taken = constant_operations(module)
        position = {op: number for number, op in enumerate(walk(module))}
        for last in reversed(position):
            if last in taken or last.name not in ELEMENTWISE_OPS or gives_booleans(last):
                continue
            if last.parent.name == "graph.fusion":
                continue
            group = find_group(last, position, taken)
            if len(group) > 1:
                fuse(group)
