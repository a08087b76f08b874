"""Reading kernels: their text may have been edited, so that what it says is held against its ops."""

from __future__ import annotations

from terrace.dialects.base import shape_of, to_python
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.kernels.collapse import is_collapsed
from terrace.lowering.kernels.families import family_of, refusal
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.group import KERNEL_TYPES, Group
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.registry import families, find_family
from terrace.lowering.kernels.view import KernelView, schedule_op
from terrace.mlir import func, ir, walk
from terrace.passes import fail


def constant_arguments(module: ir.Operation) -> dict[str, tuple[bool, ...]]:
    """For each kernel, which tensor arguments are weights wherever it is called."""
    constants = constant_values(module)
    found: dict[str, tuple[bool, ...]] = {}
    for operation in walk(module):
        if operation.name != "func.call":
            continue
        name = to_python(operation.attributes["callee"])
        flags = tuple(v in constants for v in operation.operands if isinstance(v.type, ir.RankedTensorType))
        found[name] = tuple(a and b for a, b in zip(found.get(name, flags), flags, strict=True))
    return found


def family_of_kernel(function: func.FuncOp) -> KernelFamily:
    """The family that a kernel names. Refuses a name that no family has."""
    op = schedule_op(function)
    generator = to_python(op.generator)
    family = find_family(generator)
    if family is None:
        raise fail(op, f"names no generator '{generator}'; known are {', '.join(families())}")
    return family


def read_kernel(function: func.FuncOp, constant: dict[str, tuple[bool, ...]] | None = None) -> KernelView:
    """A kernel; `constant` is what `constant_arguments` found.

    Refuses an iteration space or a generator that is not that of its ops: cost models and generators rely on both.
    """
    family, op = family_of_kernel(function), schedule_op(function)
    body = [view.operation for view in function.entry_block.operations]
    values = list(body[-1].operands)
    if not values or not all(isinstance(value.type, ir.RankedTensorType) for value in values):
        raise fail(function, f"@{function.name.value} must return a tensor; it is a kernel")
    group = Group(function.operation, tuple(o for o in body[:-1] if o.name != "kernel.schedule"), tuple(values))
    own = family_of(group)
    if own is not None and own is not family:
        raise fail(op, f"names generator '{family.name}', but its ops are those of '{own.name}'")
    # Which types a kernel has is its target's matter.
    reason = refusal(group, [family.name], reduced_types=KERNEL_TYPES)
    if reason is not None:
        raise fail(op, f"has ops that generator '{family.name}' does not take: {reason}")
    space = family.space(group.root, group.shape)
    if space != IterationSpace.from_attribute(op.iteration_space):
        raise fail(op, f"must have the iteration_space of its ops: {space.to_attribute()}")
    if not family.any_rank and not is_collapsed(space, [*map(shape_of, group.root_operands), group.shape]):
        names = ", ".join(space.names)
        raise fail(
            op, f"has dimensions {names}; '{family.name}' needs those of one kind as one, an axis of each tensor"
        )
    tensors = sum(isinstance(a.type, ir.RankedTensorType) for a in function.entry_block.arguments)
    flags = (constant or {}).get(function.name.value, (False,) * tensors)
    rule = family.type_rule(group.root, KERNEL_TYPES) if group.root is not None else None
    return KernelView(function, family.name, space, family.operands, flags, rule)
