"""What a target's kernels take, as the options of the passes that make groups and kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping, Sequence

from terrace.dialects.base import element_type_of
from terrace.lowering.kernels.families import refusal
from terrace.lowering.kernels.group import KERNEL_TYPES, Group
from terrace.lowering.kernels.open_group import OpenGroup
from terrace.lowering.kernels.registry import common_families
from terrace.mlir import ir


@dataclasses.dataclass(frozen=True)
class TargetKernels:
    """`generators` are the target's families, `element_types` those that its kernels compute with, `reduced_types`
    those that its reductions take beside f32.
    """

    generators: tuple[str, ...] = common_families()
    element_types: tuple[str, ...] = KERNEL_TYPES
    reduced_types: tuple[str, ...] = ()

    def has(self, value: ir.Value) -> bool:
        """Whether kernels read and write such a tensor."""
        return str(element_type_of(value)) in self.element_types

    def open_group(
        self,
        operations: Sequence[ir.Operation],
        position: Mapping[ir.Value, int],
        constant: Container[ir.Value],
        last: ir.Operation | None = None,
    ) -> OpenGroup:
        """A group of ops of one kernel, which more may join."""
        return OpenGroup(operations, position, constant, last, self.has)

    def refusal(self, group: Group) -> str | None:
        """Why no kernel is made of the group, or None."""
        reason = group.type_refusal(self.element_types)
        return reason or refusal(group, self.generators, self.reduced_types)
