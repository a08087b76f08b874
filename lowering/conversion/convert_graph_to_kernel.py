"""`convert-graph-to-kernel`: every group that a generator takes becomes a kernel, launched where the group stood.

A kernel is a private function of its own; equal groups share one. Dimensions that all operands treat alike are
collapsed on the way, by reshapes that move no data. What no generator takes stays for IREE, and `terrace.why` on it
says why.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import Attributes, element_type_of, shape_of, to_attribute, to_python
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.dialects.graph_base import broadcast_shapes
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL
from terrace.lowering.graph.builders import size_of, splat, splat_value
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.graph.fusion import replace_given
from terrace.lowering.kernels.collapse import Collapse, Partition, collapse_shape, product
from terrace.lowering.kernels.families import family_of
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.group import Group
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.registry import families_by_root
from terrace.lowering.kernels.target_kernels import TargetKernels
from terrace.lowering.kernels.view import is_kernel
from terrace.mlir import DYNAMIC, arith, func, ir, walk
from terrace.passes import Pass

WHY = "why"
"""The attribute that says, on an op left for IREE, why no generator took it."""


class _Outliner:
    """Makes the kernels of one module; equal bodies share a function."""

    def __init__(self, module: ir.Operation) -> None:
        self.body = module.regions[0].blocks[0]
        self.constants = constant_values(module)
        self.kernels: dict[tuple[str, tuple[bool, ...]], func.FuncOp] = {}
        self.names = {op.name.value for op in self.body.operations if isinstance(op, func.FuncOp)}

    def outline(self, group: Group, family: KernelFamily) -> None:
        """Replace `group` by a call of its kernel."""
        result_shape, own = group.shape, group.root_operands
        space, others = family.space(group.root, result_shape), group.inputs[len(own) :]
        agreeing = [shape_of(value) for value in others] if family.any_rank else []
        collapse = Collapse.of(space, [*map(shape_of, own), result_shape], agreeing)
        partition = collapse.result
        with ir.InsertionPoint(group.outer), group.outer.location:
            sizes = family.result_sizes(group, space)
            pairs = zip(own, collapse.operands, strict=True)
            operands = [_collapsed_by_root(group, value, runs, space) for value, runs in pairs]
            operands += [_collapsed(value, sizes, result_shape, partition) for value in others]
            if group.root is None:
                operands = _reaching(operands, [product([result_shape[axis] for axis in run]) for run in partition])
            constant = tuple(v in self.constants for v in group.inputs)
            collapsed_sizes = [_multiply([sizes[axis] for axis in run]) for run in partition]
            # The sizes of each result that is made anew, in order; all have the same.
            dynamic = [size for size in collapsed_sizes if not isinstance(size, int)] * len(group.results)
            dynamic = [] if family.updates_first else dynamic
            kernel = self._kernel(group, family, operands, len(dynamic), constant, collapse)
            call = func.CallOp(kernel.type.results, ir.FlatSymbolRefAttr.get(kernel.name.value), [*operands, *dynamic])
            values = [_reshape(result, result_shape, sizes) for result in call.results]
        replace_given(group.outer, values)

    def _kernel(
        self,
        group: Group,
        family: KernelFamily,
        operands: Sequence[ir.Value],
        sizes: int,
        constant: tuple[bool, ...],
        collapse: Collapse,
    ) -> func.FuncOp:
        """The kernel of this group, made if there is none yet."""
        types = [v.type for v in operands] + [ir.IndexType.get()] * sizes
        with ir.InsertionPoint.at_block_begin(self.body):
            function = func.FuncOp("kernel", (types, []), visibility="private")
        entry = function.add_entry_block()
        with ir.InsertionPoint(entry):
            values = _clone_body(group, family, list(entry.arguments), collapse)
            func.ReturnOp(values)
        results = [value.type for value in values]
        function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(types, results))
        key = (function.operation.get_asm(assume_verified=True), constant)
        if key in self.kernels:
            function.operation.erase()
            return self.kernels[key]
        function.attributes["sym_name"] = ir.StringAttr.get(self._unique(_name_of(group, shape_of(values[0]))))
        self.kernels[key] = function
        return function

    def _unique(self, name: str) -> str:
        unique, number = name, 1
        while unique in self.names:
            number += 1
            unique = f"{name}_{number}"
        self.names.add(unique)
        return unique


def _multiply(sizes: Sequence[ir.Value | int]) -> ir.Value | int:
    static = product([size for size in sizes if isinstance(size, int)])
    values = [size for size in sizes if not isinstance(size, int)]
    if not values:
        return static
    total = values[0]
    for value in values[1:]:
        total = arith.muli(total, value)
    return total if static == 1 else arith.muli(total, arith.constant(ir.IndexType.get(), static))


def _reshape(value: ir.Value, shape: Sequence[int], sizes: Sequence[ir.Value | int]) -> ir.Value:
    if shape_of(value) == list(shape):
        return value
    dynamic = [size for size in sizes if not isinstance(size, int)]
    type_ = ir.RankedTensorType.get(list(shape), element_type_of(value))
    return graph.ReshapeOp.build(value, *dynamic, result_type=type_)


def _collapsed_by_root(group: Group, value: ir.Value, runs: Partition, space: IterationSpace) -> ir.Value:
    """An operand of the root in the kernel's shape."""
    shape = shape_of(value)
    target = [product([shape[axis] for axis in run]) for run in runs]
    if target == shape:
        return value
    sizes = group.sizes(value, space)
    return _reshape(value, target, [_multiply([sizes[axis] for axis in run]) for run in runs])


def _collapsed(value: ir.Value, sizes: Sequence[ir.Value | int], result: list[int], partition: Partition) -> ir.Value:
    """Another input of a group, whose result has these sizes, in the kernel's shape."""
    target = collapse_shape(shape_of(value), result, partition)
    if target is None:
        # Rare: a mask that varies along one of two collapsed dimensions only. It is made as large as the result.
        dynamic = [size for size in sizes if not isinstance(size, int)]
        type_ = ir.RankedTensorType.get(result, element_type_of(value))
        value = graph.BroadcastOp.build(value, *dynamic, result_type=type_)
        target = [product([result[axis] for axis in run]) for run in partition]
    values = [
        _multiply([sizes[axis] for axis in run]) if size == DYNAMIC else size
        for size, run in zip(target, partition if target else (), strict=True)
    ]
    return _reshape(value, target, values)


def _reaching(operands: list[ir.Value], shape: list[int]) -> list[ir.Value]:
    """The operands of an elementwise kernel of this shape, where they were scalars and a splat alone had it."""
    if not operands or any(shape_of(value) for value in operands) or not shape:
        return operands
    first, *others = operands
    if product(shape) == 1:
        return [_reshape(first, shape, ()), *others]
    return [graph.BroadcastOp.build(first, result_type=ir.RankedTensorType.get(shape, element_type_of(first))), *others]


def _clone_body(group: Group, family: KernelFamily, arguments: list[ir.Value], collapse: Collapse) -> list[ir.Value]:
    """The group's ops on the kernel's arguments, in the collapsed shape, behind an unfilled schedule.

    The last arguments are the sizes of results.
    """
    schedule = ir.Operation.create(
        "kernel.schedule",
        attributes={
            "generator": to_attribute(family.name),
            "iteration_space": ir.DictAttr.get({}),
            "schedule": ir.DictAttr.get({}),
        },
    )
    root, own = None, len(group.root_operands)
    sizes = arguments[len(group.inputs) :]
    values = dict(zip(group.inputs[own:], arguments[own : len(group.inputs)], strict=True))
    for operation in group.operations:
        if operation.name == "arith.constant":
            continue
        with operation.location:
            if group.root is not None and operation == group.root:
                given = [*arguments[:own], *sizes[: len(operation.operands) - own]]
                shape = [product([shape_of(operation.results[0])[axis] for axis in run]) for run in collapse.result]
                new = root = _clone(operation, given, family.collapsed_attributes(operation, collapse), shape)
            else:
                new = _clone(operation, [values[v] if v in values else _constant(v) for v in operation.operands])
        values.update(zip(operation.results, new.results, strict=True))
    found = [values[value] for value in group.results]
    shapes = [shape_of(value) for value in found]
    assert product(shapes[0]) == product(group.shape)
    assert all(shape == shapes[0] for shape in shapes), "one tile of each result is stored at one place"
    schedule.attributes["iteration_space"] = family.space(root, shapes[0]).to_attribute()
    return found


def _constant(value: ir.Value) -> ir.Value:
    number = splat_value(value)
    assert number is not None, "an operand from outside is an argument or a splat"
    return splat(number, element_type_of(value))


def _clone(
    operation: ir.Operation,
    operands: Sequence[ir.Value],
    changed: dict[str, ir.Attribute] | None = None,
    declared: list[int] | None = None,
) -> ir.Operation:
    """The op on other operands; its shape follows from theirs, or is the declared one, of an op that has no rule."""
    cls = type(operation.opview)
    shapes = [shape_of(v) for v in operands if not isinstance(v.type, ir.IndexType)]
    attributes = {name: value for name, value in operation.attributes.items() if name != WHY}
    attributes |= changed or {}
    if operation.name in ELEMENTWISE_OPS:
        shape: list[int] | None = broadcast_shapes(shapes)
    else:
        shape = cls.infer(shapes, Attributes({name: to_python(value) for name, value in attributes.items()}))
    if shape is None:
        assert declared is not None, f"{operation.name} has a rule for its shape"
        shape = declared
    type_ = ir.RankedTensorType.get(shape, element_type_of(operation.results[0]))
    return ir.Operation.create(operation.name, [type_], list(operands), attributes)


def _name_of(group: Group, shape: Sequence[int]) -> str:
    """`matmul_add_gelu_128x3072`: the ops and the sizes of a result."""
    ops = [op.name.removeprefix("graph.") for op in group.operations if op.name != "arith.constant"]
    shown = ops if len(ops) <= 4 else [*ops[:3], str(len(ops))]
    sizes = "x".join("d" if size == DYNAMIC else str(size) for size in shape)
    return "_".join([*shown, sizes])


def _candidates(module: ir.Operation) -> list[ir.Operation]:
    """Fusions and single ops of functions that are not kernels yet, outermost only."""
    found = []
    for view in module.regions[0].blocks[0].operations:
        if not isinstance(view, func.FuncOp) or is_kernel(view) or LOOP_KERNEL in view.attributes:
            continue
        for op in walk(view.operation):
            if op.parent.name != "graph.fusion" and op.name.startswith("graph."):
                found.append(op)
    return found


def copy_first(operation: ir.Operation, outliner: _Outliner) -> None:
    """Let a kernel of its own copy the first operand of `operation`, which updates the copy in place."""
    value = operation.operands[0]
    with ir.InsertionPoint(operation), operation.location:
        sizes = [size_of(value, axis) for axis, size in enumerate(shape_of(value)) if size == DYNAMIC]
        copied = graph.BroadcastOp.build(value, *sizes, result_type=value.type)
    operation.operands[0] = copied
    copy = Group.of(copied.owner.operation)
    family = family_of(copy)
    assert family is not None, "what moves elements is a kernel where updates are"
    outliner.outline(copy, family)


@dataclasses.dataclass(frozen=True)
class ConvertGraphToKernel(TargetKernels, Pass):
    """Outline the groups that one of `generators` takes as kernels; mark the others with the reason why not."""

    name = "convert-graph-to-kernel"

    views: bool = False
    """Leave slices and the like where the target has them at no cost, or reads through them."""

    def _reason(self, group: Group, family: KernelFamily | None) -> str | None:
        reason = self.refusal(group)
        if reason is None and self.views and family is not None:
            return family.view_refusal(group.outer)
        return reason

    def run(self, module: ir.Operation) -> None:
        outliner = _Outliner(module)
        for operation in _candidates(module):
            if operation.name != "graph.fusion" and operation.name not in {**families_by_root(), **ELEMENTWISE_OPS}:
                continue
            if all(value in outliner.constants for value in operation.results):
                continue
            group = Group.of(operation)
            family = family_of(group)
            reason = self._reason(group, family)
            if reason is None and family is not None:
                if family.must_copy_first(operation):
                    copy_first(operation, outliner)
                    group = Group.of(operation)
                outliner.outline(group, family)
            else:
                operation.attributes[WHY] = ir.StringAttr.get(reason)
