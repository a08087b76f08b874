"""Fuses connected elementwise ops of one shape into one kernel, so that what lies between them stays in registers.

Run after `fuse-epilogue`: an elementwise op costs least inside a contraction. Constant expressions stay out, as they
are computed once, ahead; single ops too, as they are kernels already.
"""

from __future__ import annotations

import dataclasses
import heapq

from terrace.dialects.base import shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.graph.builders import splat_value, users_of
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.graph.fusion import fuse, gives_booleans, is_fusible
from terrace.lowering.kernels.group import MOST_OPERANDS
from terrace.mlir import ir, operation_of, walk
from terrace.passes import Pass


def find_group(last: ir.Operation, position: dict[ir.Value, int], constant: set[ir.Value]) -> list[ir.Operation]:
    """`last` and all elementwise ops before it that only this group uses, in program order.

    Producers are tried from the last to the first, so that all users of one are decided on before itself.
    """
    shape = shape_of(last.results[0])
    group: dict[int, ir.Operation] = {}
    read: set[ir.Value] = set()
    found = {position[last.results[0]]: last}
    pending = [-position[last.results[0]]]
    while pending:
        number = -heapq.heappop(pending)
        candidate = found[number]
        members = list(group.values())
        if group and not all(user in members for user in users_of(candidate.results[0])):
            continue
        operands = {value for value in candidate.operands if splat_value(value) is None}
        if group and len((read - {candidate.results[0]}) | operands) > MOST_OPERANDS:
            continue
        read = (read - {candidate.results[0]}) | operands
        group[number] = candidate
        for value in candidate.operands:
            producer = operation_of(value)
            if producer is None or value in constant or position.get(value) in found:
                continue
            if producer.block == last.block and is_fusible(producer, shape):
                found[position[value]] = producer
                heapq.heappush(pending, -position[value])
    return [group[number] for number in sorted(group)]


@dataclasses.dataclass(frozen=True)
class FuseElementwise(Pass):
    """Fuse elementwise ops that feed each other and have one shape."""

    name = "fuse-elementwise"

    def run(self, module: ir.Operation) -> None:
        constant = constant_values(module)
        operations = list(walk(module))
        position = {op.results[0]: number for number, op in enumerate(operations) if len(op.results) == 1}
        for last in reversed([op for op in operations if op.name in ELEMENTWISE_OPS]):
            # A group is found from its end; what it took lies in a fusion by then.
            if last.parent.name == "graph.fusion" or last.results[0] in constant or gives_booleans(last):
                continue
            group = find_group(last, position, constant)
            if len(group) > 1:
                fuse(group)
