"""A group of graph ops that may become one kernel: a `graph.fusion`, or a single op."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.dialects.graph_base import window_size
from terrace.lowering.graph.builders import splat_value
from terrace.mlir import DYNAMIC, arith, ir, operation_of, tensor

CONTRACTIONS = ("graph.batch_matmul", "graph.conv2d", "graph.matmul")
SOFTMAXES = ("graph.integer_softmax", "graph.softmax")
ROW_REDUCTIONS = ("graph.integer_layer_norm", "graph.layer_norm", "graph.rms_norm", *SOFTMAXES)
POOLS = ("graph.avg_pool2d", "graph.max_pool2d", "graph.sum_pool2d")
COPIES = ("graph.broadcast", "graph.concat", "graph.pad", "graph.permute", "graph.slice")
REDUCTIONS = ("graph.reduce",)
ROOTS = CONTRACTIONS + ROW_REDUCTIONS + POOLS + COPIES + REDUCTIONS
KEEPING_OPERANDS = CONTRACTIONS + POOLS + COPIES + REDUCTIONS
"""The roots whose operands' shapes are their own, not the result's."""
KERNEL_TYPES = ("f32", "f64", "i8", "i32", "i64")
"""The element types that a kernel reads and writes, where IREE's code generation takes others."""
MOST_OPERANDS = 24
"""The tensors that a group reads: IREE binds 32 to a kernel, its result and tables among them."""


def is_number(value: ir.Value, user: ir.Operation) -> bool:
    """Whether a kernel may take `value` for a number: its elements are equal, and others give `user` its shape."""
    if splat_value(value) is None:
        return False
    shapes = [shape_of(other) for other in user.operands if other != value]
    return shape_of(user.results[0]) in shapes or all(size == 1 for size in shape_of(value))


@dataclasses.dataclass(frozen=True)
class Group:
    """Ops in program order; `outer` is the op to replace (the fusion, or the only op), `result` the value computed."""

    outer: ir.Operation
    operations: tuple[ir.Operation, ...]
    result: ir.Value

    @staticmethod
    def of(operation: ir.Operation) -> Group:
        if operation.name != "graph.fusion":
            return Group(operation, (operation,), operation.results[0])
        body = [view.operation for view in operation.regions[0].blocks[0].operations]
        return Group(operation, tuple(body[:-1]), body[-1].operands[0])

    @property
    def root(self) -> ir.Operation | None:
        """The op that the group's generator is for; None for an elementwise group."""
        return next((op for op in self.operations if op.name in ROOTS), None)

    @property
    def inputs(self) -> list[ir.Value]:
        """The values that become arguments of the kernel: the root's operands, then what else is read, each once.

        What the root and its epilogue both read is two arguments: the schedule may lay out the root's.
        """
        inside = {op.results[0] for op in self.operations}
        inputs: list[ir.Value] = []
        for op in self.operations:
            for value in op.operands if op.name not in ROOTS else ():
                if value not in inside and value not in inputs and not is_number(value, op):
                    inputs.append(value)
        return self.root_operands + inputs

    @property
    def root_operands(self) -> list[ir.Value]:
        return list(self.root.operands) if self.root is not None else []

    def type_refusal(self, allowed: Sequence[str]) -> str | None:
        """Why a target whose kernels compute with these element types takes no such group, or None."""
        for value in [*self.inputs, *(op.results[0] for op in self.operations)]:
            if isinstance(value.type, ir.IndexType):
                continue  # a size, which `refusal` names
            name = str(element_type_of(value))
            if name in KERNEL_TYPES and name not in allowed:
                return f"the target's kernels do not compute with {name}"
        return None

    def refusal(self, memory_types: Sequence[str]) -> str | None:
        """Why no generator takes the group, or None; a kernel reads and writes `memory_types`."""
        for op in self.operations:
            if op.name not in ROOTS and op.name not in ELEMENTWISE_OPS and op.name != "arith.constant":
                return f"no generator for {op.name}"
        if sum(op.name in ROOTS for op in self.operations) > 1:
            return "more than one op that has a generator of its own"
        computed = {op.results[0] for op in self.operations}
        if any(value in computed for value in self.root_operands):
            return "operands of its root op are computed in the group"
        for value in [*self.inputs, self.result]:
            if isinstance(value.type, ir.IndexType):
                return "a size known at run time only"
            if str(element_type_of(value)) not in memory_types:
                return f"element type {element_type_of(value)}"
            if 0 in shape_of(value):
                return "it has no elements"
        return None

    def sizes(self, value: ir.Value) -> list[ir.Value | int]:
        """The sizes of a value of the group, computed from those of its inputs, at the current insertion point."""
        return [self._size(value, axis) for axis in range(len(shape_of(value)))]

    def _size(self, value: ir.Value, axis: int) -> ir.Value | int:
        size = shape_of(value)[axis]
        if size != DYNAMIC:
            return size
        operation = operation_of(value)
        if operation is None or operation not in self.operations:
            return tensor.dim(value, arith.constant(ir.IndexType.get(), axis))
        if operation.name in ("graph.matmul", "graph.batch_matmul"):
            return self._matmul_size(operation, axis)
        if operation.name == "graph.conv2d":
            return self._conv2d_size(operation, axis)
        if operation.name == "graph.reduce":
            attrs, source = attributes_of(operation), operation.operands[0]
            kept = [a for a in range(len(shape_of(source))) if attrs.keepdims or a not in attrs.axes]
            return self._size(source, kept[axis])
        rank = len(shape_of(value))
        for operand in operation.operands:
            own = axis - rank + len(shape_of(operand))
            if own >= 0 and shape_of(operand)[own] == DYNAMIC:
                return self._size(operand, own)
        raise AssertionError(f"no operand of {operation.name} has the dynamic size of its result")

    def _matmul_size(self, operation: ir.Operation, axis: int) -> ir.Value | int:
        lhs, rhs = operation.operands
        rank = len(shape_of(operation.results[0]))
        if axis < rank - 1:
            return self._size(lhs, axis)
        transposed = attributes_of(operation).transpose_rhs
        return self._size(rhs, len(shape_of(rhs)) - (2 if transposed else 1))

    def _conv2d_size(self, operation: ir.Operation, axis: int) -> ir.Value | int:
        """Output rows and columns by PyTorch's formula; NHWC."""
        image, weight = operation.operands
        attrs = attributes_of(operation)
        if axis in (0, 3):
            return self._size(image, axis) if axis == 0 else self._size(weight, 0)
        i = axis - 1
        low, high = attrs.padding[2 * i : 2 * i + 2]
        kernel, stride, dilation = shape_of(weight)[2 + i], attrs.strides[i], attrs.dilations[i]
        size = self._size(image, axis)
        if isinstance(size, int):
            return window_size(size, kernel, stride, low, high, dilation)
        index = ir.IndexType.get()
        span = arith.addi(size, arith.constant(index, low + high - dilation * (kernel - 1) - 1))
        return arith.addi(arith.floordivsi(span, arith.constant(index, stride)), arith.constant(index, 1))
