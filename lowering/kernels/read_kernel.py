"""Reading kernels: their text may have been edited, so that what it says is held against its ops."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from terrace.dialects.base import shape_of, to_python
from terrace.lowering.analysis.symbolic_sizes import EXAMPLE_SHAPES, SymbolicSizes, number
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.kernels.collapse import is_collapsed
from terrace.lowering.kernels.families import family_of, refusal
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.group import KERNEL_TYPES, Group
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.registry import families, find_family
from terrace.lowering.kernels.view import KernelView, is_kernel, schedule_op
from terrace.mlir import DYNAMIC, func, ir, walk
from terrace.passes import fail


@dataclasses.dataclass(frozen=True)
class Calls:
    """What a module says of a kernel's calls: which tensor arguments are weights in all of them, the first result's
    shape in the first, with the sizes that the model was exported with (DYNAMIC where they are not known), and how many
    there are.
    """

    constant: tuple[bool, ...]
    shape: tuple[int, ...]
    count: int = 0


def calls_of(module: ir.Operation) -> dict[str, Calls]:
    """The calls of each kernel, by its name."""
    constants = constant_values(module)
    functions = [op for op in module.regions[0].blocks[0].operations if isinstance(op, func.FuncOp)]
    kernels = {function.name.value for function in functions if is_kernel(function)}
    found: dict[str, Calls] = {}
    for function in functions:
        examples = to_python(function.attributes[EXAMPLE_SHAPES]) if EXAMPLE_SHAPES in function.attributes else []
        sizes = SymbolicSizes(list(function.arguments), {}, examples)
        for operation in [op for op in walk(function.operation) if op.name == "func.call"]:
            name: str = to_python(operation.attributes["callee"])
            if name in kernels:
                flags = tuple(v in constants for v in operation.operands if isinstance(v.type, ir.RankedTensorType))
                known = found.get(name) or Calls(flags, _example_shape(operation.results[0], sizes))
                constant = tuple(a and b for a, b in zip(known.constant, flags, strict=True))
                found[name] = dataclasses.replace(known, constant=constant, count=known.count + 1)
    return found


def _example_shape(value: ir.Value, sizes: SymbolicSizes) -> tuple[int, ...]:
    found = [sizes.size(value, axis) for axis in range(len(shape_of(value)))]
    numbers = [None if size is None else number(size) for size in found]
    return tuple(DYNAMIC if size is None else size for size in numbers)


def family_of_kernel(function: func.FuncOp) -> KernelFamily:
    """The family that a kernel names. Refuses a name that no family has."""
    op = schedule_op(function)
    generator = to_python(op.generator)
    family = find_family(generator)
    if family is None:
        raise fail(op, f"names no generator '{generator}'; known are {', '.join(families())}")
    return family


def read_kernel(function: func.FuncOp, calls: Mapping[str, Calls] | None = None) -> KernelView:
    """A kernel; `calls` are those of its module.

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
    own_calls = (calls or {}).get(function.name.value, Calls((False,) * tensors, ()))
    if family.follows_examples and shape_of(values[0]) == list(group.shape) and own_calls.shape:
        space = dataclasses.replace(space, examples=family.space(group.root, own_calls.shape).sizes)
    rule = family.type_rule(group.root, KERNEL_TYPES) if group.root is not None else None
    return KernelView(function, family.name, space, family.operands, own_calls.constant, rule)
