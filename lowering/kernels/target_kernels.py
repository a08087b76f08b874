"""What a target's kernels take, as the options of the passes that make groups and kernels."""

from __future__ import annotations

import dataclasses

from terrace.lowering.kernels.families import refusal
from terrace.lowering.kernels.group import KERNEL_TYPES, Group
from terrace.lowering.kernels.registry import common_families


@dataclasses.dataclass(frozen=True)
class TargetKernels:
    """`generators` are the target's families, `element_types` those that its kernels compute with, `reduced_types`
    those that its reductions take beside f32.
    """

    generators: tuple[str, ...] = common_families()
    element_types: tuple[str, ...] = KERNEL_TYPES
    reduced_types: tuple[str, ...] = ()

    def refusal(self, group: Group) -> str | None:
        """Why no kernel is made of the group, or None."""
        reason = group.type_refusal(self.element_types)
        return reason or refusal(group, self.generators, self.element_types, self.reduced_types)
