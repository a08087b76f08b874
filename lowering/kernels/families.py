"""Which family makes the kernel of a group, and why none does."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.base import compatible, element_type_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.group import KERNEL_TYPES, Group
from terrace.lowering.kernels.registry import families_by_root, find_family


def family_of(group: Group) -> KernelFamily | None:
    """The family of the group's root, or of groups without one; None if no family has such a root."""
    return families_by_root().get(group.root.name) if group.root is not None else find_family("elementwise")


def refusal(
    group: Group,
    generators: Sequence[str],
    reduced_types: Sequence[str] = (),
) -> str | None:
    """Why none of these families makes a kernel of the group, or None.

    `reduced_types` are those that reductions take beside f32.
    """
    reason = _refusal_of_any(group)
    root, family = group.root, family_of(group)
    if reason is None and (family is None or family.name not in generators):
        reason = f"no generator for {root.name if root is not None else 'elementwise ops'}"
    if reason is not None or root is None or family is None:
        return reason
    if not family.takes_epilogue and len(group.operations) > 1:
        return f"ops beside {root.name}"
    if family.type_rule(root, reduced_types) is None:
        return f"element type {element_type_of(root.results[0])} of {root.name}"
    return family.refusal(root)


def _refusal_of_any(group: Group) -> str | None:
    """Why no family takes the group, or None."""
    roots = families_by_root()
    for op in group.operations:
        if op.name not in roots and op.name not in ELEMENTWISE_OPS and op.name != "arith.constant":
            return f"no generator for {op.name}"
    if sum(op.name in roots for op in group.operations) > 1:
        return "more than one op that has a generator of its own"
    if any(value in group.computed for value in group.root_operands):
        return "operands of its root op are computed in the group"
    if any(shape_of(value) != group.shape for value in group.results):
        return "results of different shapes"
    if group.root is not None and not compatible(shape_of(group.root.results[0]), group.shape):
        return f"results that are larger than that of {group.root.name}"
    constants = [op for op in group.operations if op.name == "arith.constant"]
    if any(value in group.results for op in constants for value in op.results):
        return "a result that is a constant"
    for value in [*group.inputs, *group.results]:
        if str(element_type_of(value)) not in KERNEL_TYPES:
            return f"element type {element_type_of(value)}"
        if 0 in shape_of(value):
            return "it has no elements"
    return None
