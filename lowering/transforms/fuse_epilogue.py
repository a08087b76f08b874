"""Fuses the elementwise ops that follow a contraction into its kernel: bias, activation, scale, mask, residual.

The kernel families say which ops take such an epilogue (`fusing_roots`). It works on the tile that is in registers, so
that what only it reads is never written to memory. What is used elsewhere, too, is written once in either case: then an
op joins to save that it is read again, unless that costs it what it could have found in registers elsewhere, or what is
computed from there takes long (`LONG`): behind a tile, no read of the next elements hides that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.dialects.base import shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.graph.builders import users_of
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.graph.fusion import fuse, is_fusible
from terrace.lowering.graph.payload import LONG
from terrace.lowering.kernels.registry import families_by_root, fusing_roots
from terrace.lowering.kernels.target_kernels import TargetKernels
from terrace.mlir import ir, walk
from terrace.passes import Pass


def find_long(operations: Sequence[ir.Operation]) -> set[ir.Value]:
    """What a `LONG` op computes, or what elementwise ops of the same shape compute one from; `operations` in order."""
    found: set[ir.Value] = set()
    for op in reversed(operations):
        if op.name not in ELEMENTWISE_OPS:
            continue
        value = op.results[0]
        fused = (user for user in users_of(value) if is_fusible(user, shape_of(value)))
        if op.name in LONG or any(user.results[0] in found for user in fused):
            found.add(value)
    return found


@dataclasses.dataclass(frozen=True)
class FuseEpilogue(TargetKernels, Pass):
    """Fuse a matmul or convolution with the elementwise ops that follow it."""

    name = "fuse-epilogue"

    several_results: bool = True
    """Fuse what gives several results, too, where the target takes it."""

    apart: tuple[str, ...] = ()
    """Ops that join no contraction: those that a target has other units for."""

    def run(self, module: ir.Operation) -> None:
        constant = constant_values(module)
        operations = list(walk(module))
        out = constant | {op.results[0] for op in operations if op.name in self.apart}
        position = {op.results[0]: number for number, op in enumerate(operations) if len(op.results) == 1}
        long = find_long(operations)
        for root in [op for op in operations if op.name in fusing_roots() and len(op.results) == 1]:
            if root.results[0] in constant or root.parent.name == "graph.fusion":
                continue
            if families_by_root()[root.name].name not in self.generators:
                continue
            found = self.open_group([root], position, out)
            found.take_users([root], self.several_results, long)
            if len(found.group.results) > 1 and self.refusal(found.group):
                found = self.open_group([root], position, out)
                found.take_users([root], several_results=False)
            if len(found.operations) > 1:
                fuse(found.operations)
