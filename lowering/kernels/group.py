"""A group of graph ops that may become one kernel: a `graph.fusion`, or a single op."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.dialects.base import element_type_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.dialects.graph_base import window_size
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.graph.builders import splat_value
from terrace.lowering.graph.fusion import body_of
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, axes_of
from terrace.mlir import DYNAMIC, arith, ir, operation_of, tensor

KERNEL_TYPES = tuple(name for name, row in ELEMENT_TYPES.items() if row.in_kernels)
"""The element types that a kernel reads and writes, where IREE's code generation takes others."""
MOST_BINDINGS = 25
"""The tensors that a group reads and gives: IREE binds 32 to a kernel, tables among them."""


def _is_fusible(operation: ir.Operation) -> bool:
    return operation.name in ELEMENTWISE_OPS or operation.name == "arith.constant"


def is_number(value: ir.Value, user: ir.Operation) -> bool:
    """Whether a kernel may take `value` for a number: its elements are equal, and others give `user` its shape."""
    if splat_value(value) is None:
        return False
    shapes = [shape_of(other) for other in user.operands if other != value]
    return shape_of(user.results[0]) in shapes or all(size == 1 for size in shape_of(value))


@dataclasses.dataclass(frozen=True)
class Group:
    """Ops in program order; `outer` is the op (the fusion, or the only op) that gives their `results`.

    A kernel computes its results tile by tile, side by side: they have one shape, which `refusal` sees to.
    """

    outer: ir.Operation
    operations: tuple[ir.Operation, ...]
    results: tuple[ir.Value, ...]

    @staticmethod
    def of(operation: ir.Operation) -> Group:
        if operation.name != "graph.fusion":
            return Group(operation, (operation,), tuple(operation.results))
        body, given = body_of(operation)
        return Group(operation, tuple(body), tuple(given))

    @property
    def shape(self) -> list[int]:
        """That of each result."""
        return shape_of(self.results[0])

    @property
    def computed(self) -> list[ir.Value]:
        return [value for op in self.operations for value in op.results]

    @property
    def root(self) -> ir.Operation | None:
        """The op that the group's kernel is for; None for an elementwise group."""
        return next((op for op in self.operations if not _is_fusible(op)), None)

    @property
    def inputs(self) -> list[ir.Value]:
        """The values that become arguments of the kernel: the root's operands, then what else is read, each once.

        What the root and its epilogue both read is two arguments: the schedule may lay out the root's.
        """
        inside = set(self.computed)
        read = [(value, op) for op in self.operations if _is_fusible(op) for value in op.operands]
        found = [value for value, op in read if value not in inside and not is_number(value, op)]
        found += [value for value in self.results if value not in inside]
        return self.root_operands + list(dict.fromkeys(found))

    @property
    def root_operands(self) -> list[ir.Value]:
        """Its tensors; sizes of its result it has from the kernel's."""
        operands = self.root.operands if self.root is not None else []
        return [value for value in operands if not isinstance(value.type, ir.IndexType)]

    def type_refusal(self, allowed: Sequence[str]) -> str | None:
        """Why a target whose kernels compute with these element types takes no such group, or None.

        Inside a kernel there are truth values on every target; not every one has them in memory.
        """
        given = list(self.results)
        for value in [*self.inputs, *self.computed]:
            name = str(element_type_of(value))
            is_inner = ELEMENT_TYPES[name].kind == "boolean" and value in self.computed and value not in given
            if name in KERNEL_TYPES and name not in allowed and not is_inner:
                return f"the target's kernels do not compute with {name}"
        return None

    def sizes(self, value: ir.Value, space: IterationSpace) -> list[ir.Value | int]:
        """The sizes of a value of the group, computed from those of its inputs, at the current insertion point.

        `space` is the root's.
        """
        return [self._size(value, axis, space) for axis in range(len(shape_of(value)))]

    def _size(self, value: ir.Value, axis: int, space: IterationSpace) -> ir.Value | int:
        size = shape_of(value)[axis]
        if size != DYNAMIC:
            return size
        operation = operation_of(value)
        if operation is None or operation not in self.operations:
            return tensor.dim(value, arith.constant(ir.IndexType.get(), axis))
        if not _is_fusible(operation):
            return self._root_size(operation, axis, space)
        rank = len(shape_of(value))
        for operand in operation.operands:
            own = axis - rank + len(shape_of(operand))
            if own >= 0 and shape_of(operand)[own] == DYNAMIC:
                return self._size(operand, own, space)
        raise AssertionError(f"no operand of {operation.name} has the dynamic size of its result")

    def _root_size(self, root: ir.Operation, axis: int, space: IterationSpace) -> ir.Value | int:
        """A size of the root's result: of the operand's axis that runs along with it, or of the windows in one."""
        values = [*root.operands, root.results[0]]
        *operands, result = (
            axes_of(of, len(shape_of(value))) for of, value in zip(space.accesses, values, strict=True)
        )
        (name,) = result[axis].steps
        places = [(value, i, own) for value, of in zip(values, operands, strict=False) for i, own in enumerate(of)]
        for value, i, own in places:
            if own == Axis({name: 1}):
                return self._size(value, i, space)
        value, i, window = next(place for place in places if name in place[2].steps)
        sizes = {**space.known(), name: 1}
        stride, span, size = window.steps[name], window.span(sizes), self._size(value, i, space)
        if isinstance(size, int):
            return window_size(size, span, stride, window.low, window.high, 1)
        index = ir.IndexType.get()
        room = arith.addi(size, arith.constant(index, window.low + window.high - span))
        return arith.addi(arith.floordivsi(room, arith.constant(index, stride)), arith.constant(index, 1))
