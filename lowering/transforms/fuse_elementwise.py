"""Fuses connected elementwise ops of one shape into one kernel, so that what lies between them stays in registers.

What is used elsewhere, too, is written once in either case; its op joins to save that it is read again.

Run after `fuse-epilogue`: an elementwise op costs least inside a contraction. Constant expressions stay out, as they
are computed once, ahead; single ops too, as they are kernels already.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.dialects.graph_base import product
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.graph.fusion import fuse
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.families import family_of
from terrace.lowering.kernels.group import Group
from terrace.lowering.kernels.open_group import OpenGroup
from terrace.lowering.kernels.target_kernels import TargetKernels
from terrace.mlir import ir, walk
from terrace.passes import Pass

MOST_LANES, LONG_ROW = 16, 256
"""Elements: those of a vector, and of a row that is long enough for a vector that is not full not to matter."""


def grow(found: OpenGroup, last: ir.Operation, several_results: bool) -> OpenGroup:
    """A group of `last`, with the elementwise ops that one kernel can compute with it.

    Those are what computes the operands, and with `several_results`, if a value of the group has other users, they and
    what they read.
    """
    joined = [last]
    while joined:
        joined += found.take_producers(joined, several_results)
        joined = found.take_users(joined, several_results) if several_results else []
    return found


def has_short_rows(group: Group) -> bool:
    """Whether broadcasting leaves rows that fill vectors badly, where a part of the group may have longer ones."""
    family = family_of(group)
    assert family is not None, "elementwise groups have a family"
    space = family.space(None, group.shape)
    runs = Collapse.of(space, [group.shape], [shape_of(value) for value in group.inputs]).result
    row = product([group.shape[axis] for axis in runs[-1]]) if len(runs) > 1 else LONG_ROW
    return row < LONG_ROW and row % MOST_LANES != 0


@dataclasses.dataclass(frozen=True)
class FuseElementwise(TargetKernels, Pass):
    """Fuse elementwise ops that feed each other and have one shape."""

    name = "fuse-elementwise"

    several_results: bool = True
    """Fuse what gives several results, too, where the target takes it."""

    def run(self, module: ir.Operation) -> None:
        constant = constant_values(module)
        operations = list(walk(module))
        position = {op.results[0]: number for number, op in enumerate(operations) if len(op.results) == 1}
        refused: set[ir.Value] = set()
        for last in reversed([op for op in operations if op.name in ELEMENTWISE_OPS]):
            # A group is found from its end; what it took lies in a fusion by then.
            if last.parent.name == "graph.fusion" or last.results[0] in constant or not self.has(last.results[0]):
                continue
            may_have_several = self.several_results and last.results[0] not in refused
            found = grow(self.open_group([last], position, constant, last), last, may_have_several)
            group = found.group
            refused |= found.left
            if len(group.results) > 1 and (self.refusal(group) or has_short_rows(group)):
                refused.update(group.computed)
                group = grow(self.open_group([last], position, constant, last), last, several_results=False).group
            if len(group.operations) > 1:
                fuse(group.operations)
