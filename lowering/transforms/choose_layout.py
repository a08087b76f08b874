"""Gives images one layout: every convolution and pool takes the chosen one, permutes move out of the network's middle.

Each op in the other layout gets a permute before and one after. The permutes that leave the chosen layout then sink
through the ops that follow, until they meet one that goes back (both vanish) or an op that the order of dimensions
matters to, such as a reshape. So a convolutional network keeps permutes at its inputs and outputs only. Weights stay
OIHW: how they are packed is the schedule's choice. Attention takes up the permutes of heads around it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS, AttentionOp, PermuteOp
from terrace.dialects.graph_contraction import RESULT, heads_moved
from terrace.errors import PipelineError
from terrace.lowering.graph.builders import erase_dead_ops, move_heads, reshape, users_of
from terrace.lowering.graph.constant_expressions import is_constant_expression
from terrace.lowering.transforms.lines import TurnLine, line_patterns
from terrace.lowering.transforms.simplify_graph import MergePermutes, MergeReshapes
from terrace.mlir import ir, operation_of
from terrace.passes import Pass
from terrace.rewriting import Pattern, apply_patterns, replace

TO_NHWC = (0, 2, 3, 1)
TO_NCHW = (0, 3, 1, 2)
LAYOUTS = {"NHWC": TO_NHWC, "NCHW": TO_NCHW}
"""The permutation that brings an image from the other layout to the one named."""


class SetLayout(Pattern):
    """op(x) in the other layout becomes permute(op(permute(x))) in `layout`."""

    def __init__(self, op_name: str, layout: str) -> None:
        self.op_name = op_name  # type: ignore[misc]
        self._layout = layout
        self._enter = list(LAYOUTS[layout])
        self._leave = inverse(self._enter)

    def rewrite(self, op: ir.OpView) -> bool:
        operation = op.operation
        if attributes_of(operation).layout == self._layout:
            return False
        image = PermuteOp.build(operation.operands[0], permutation=self._enter)
        result_shape = [shape_of(op.result)[axis] for axis in self._enter]
        value = rebuild(operation, [image, *list(operation.operands)[1:]], result_shape, layout=self._layout)
        return replace(op, PermuteOp.build(value, permutation=self._leave, result_type=op.result.type))


class SinkPermute(Pattern):
    """op(permute(x), ...) becomes permute(op(x, ...)), where the operands all come out of the same permute.

    Constants count too: their inverse permute is a constant expression. Subclasses say what becomes of the attributes
    that name dimensions. Only `permutation`, which leaves the chosen layout, sinks: a model's own permutes stay put.
    """

    def __init__(self, op_name: str, permutation: list[int]) -> None:
        self.op_name = op_name  # type: ignore[misc]
        self._permutation = permutation

    def rewrite(self, op: ir.OpView) -> bool:
        operation = op.operation
        operands = list(operation.operands)
        images = operands[: self.image_operands(operation)]
        if not any(permuted_by(image, self._permutation) for image in images):
            return False
        if not all(self._has_source(image) for image in images):
            return False
        sources = [self._source(image) for image in images]
        order, attributes = self.attributes(operation)
        shape = [shape_of(op.result)[axis] for axis in inverse(order)]
        value = rebuild(operation, [*sources, *operands[len(images) :]], shape, **attributes)
        if order != sorted(order):
            value = PermuteOp.build(value, permutation=order, result_type=op.result.type)
        return replace(op, value)

    def image_operands(self, operation: ir.Operation) -> int:
        """How many of the first operands are images; the others have dimensions of their own and stay."""
        return 1

    def attributes(self, operation: ir.Operation) -> tuple[list[int], dict[str, Any]]:
        """The permutation to apply to the new result, and the attributes of the new op that change."""
        return self._permutation, {}

    def _has_source(self, value: ir.Value) -> bool:
        """Whether `value` is, or can become at no cost, the permute of something."""
        if permuted_by(value, self._permutation) or _is_scalar(value) or self._is_reshaped(value):
            return True
        return len(shape_of(value)) <= len(self._permutation) and is_constant_expression(value)

    def _is_reshaped(self, value: ir.Value) -> bool:
        """Whether the inverse permute moves no element of `value`, such as a number for each channel of an image."""
        shape, back = shape_of(value), inverse(self._permutation)
        return len(shape) == len(back) and _keeps_order(shape, back)

    def _source(self, value: ir.Value) -> ir.Value:
        """What `value` is the permute of."""
        operation = operation_of(value)
        if operation is not None and permuted_by(value, self._permutation):
            return operation.operands[0]
        if _is_scalar(value):
            return value
        if self._is_reshaped(value):
            return PermuteOp.build(value, permutation=inverse(self._permutation))
        return _permute_constant(value, inverse(self._permutation))


class SinkThroughElementwise(SinkPermute):
    """All operands are images, broadcast against each other."""

    def image_operands(self, operation: ir.Operation) -> int:
        return len(operation.operands)


class SinkThroughAxis(SinkPermute):
    """Batch and group norm, and softmax: `axis` follows its dimension; the batch stays the first."""

    def attributes(self, operation: ir.Operation) -> tuple[list[int], dict[str, Any]]:
        return self._permutation, {"axis": self._permutation[attributes_of(operation).axis]}


class SinkThroughConcat(SinkThroughAxis):
    """As `SinkThroughAxis`, over two images."""

    def image_operands(self, operation: ir.Operation) -> int:
        return len(operation.operands)


class SinkThroughBounds(SinkPermute):
    """Pad and slice: their lists of one number per dimension follow the dimensions."""

    def attributes(self, operation: ir.Operation) -> tuple[list[int], dict[str, Any]]:
        attrs = attributes_of(operation)
        names = ("low", "high") if operation.name != "graph.slice" else ("starts", "stops", "steps")
        position = inverse(self._permutation)
        return self._permutation, {name: [getattr(attrs, name)[i] for i in position] for name in names}


class SinkThroughReduce(SinkPermute):
    """The reduced axes follow their dimensions; those that are left keep the order that the result had."""

    def attributes(self, operation: ir.Operation) -> tuple[list[int], dict[str, Any]]:
        attrs = attributes_of(operation)
        axes = sorted(self._permutation[axis] for axis in attrs.axes)
        if attrs.keepdims:
            return self._permutation, {"axes": axes}
        kept = [axis for axis in self._permutation if axis not in axes]
        return [sorted(kept).index(axis) for axis in kept], {"axes": axes}


class AbsorbPermutes(Pattern):
    """Attention that stayed whole reads and writes heads where they lie: `inner_heads` says so, and permutes go."""

    op_name = "graph.attention"

    def rewrite(self, op: ir.OpView) -> bool:
        operands, inner = list(op.operation.operands), set(AttentionOp.inner_heads(attributes_of(op)))
        before, swap = set(inner), heads_moved(range(len(shape_of(op.result))))
        for number, operand in enumerate(operands[:3]):
            if permuted_by(operand, swap):
                operands[number] = operand.owner.operation.operands[0]
                inner ^= {number}
        users = users_of(op.result)
        leaves = bool(users) and all(
            user.name == "graph.permute" and permuted_by(user.results[0], swap) for user in users
        )
        inner ^= {RESULT} if leaves else set()
        if inner == before:
            return False
        shape = shape_of(op.result)
        shape = heads_moved(shape) if leaves else shape
        value = rebuild(op.operation, operands, shape, inner_heads=sorted(inner))
        # Its users go back: the two cancel.
        return replace(op, move_heads(value) if leaves else value)


class ConvertPermuteToReshape(Pattern):
    """A permute that only moves dimensions of size 1 moves no element: it is a reshape."""

    op_name = "graph.permute"

    def rewrite(self, op: ir.OpView) -> bool:
        shape, permutation = shape_of(op.input), attributes_of(op).permutation
        # Where the declared type hides a size that the input's has, the reshape would not have that type.
        if not _keeps_order(shape, permutation) or [shape[axis] for axis in permutation] != shape_of(op.result):
            return False
        return replace(op, reshape(op.input, [axis if shape[axis] != 1 else None for axis in permutation]))


def _keeps_order(shape: list[int], permutation: list[int]) -> bool:
    """Whether a permute moves dimensions of size 1 only."""
    order = [axis for axis in permutation if shape[axis] != 1]
    return order == sorted(order)


def rebuild(operation: ir.Operation, operands: list[ir.Value], shape: list[int], **changed: Any) -> ir.Value:
    """The same op on other operands, with a result of `shape` and the `changed` attributes."""
    attributes = dict(operation.attributes.items())
    op_class = type(operation.opview)
    result_type = ir.RankedTensorType.get(shape, element_type_of(operation.results[0]))
    return op_class.build(*operands, result_type=result_type, **{**attributes, **changed})


def _permute_constant(value: ir.Value, permutation: list[int]) -> ir.Value:
    """`value`, which broadcasts into a tensor of the permutation's rank, permuted; without leading dimensions of 1."""
    shape = shape_of(value)
    own = [None] * (len(permutation) - len(shape)) + list(range(len(shape)))
    axes = [None if axis is None or shape[axis] == 1 else axis for axis in (own[i] for i in permutation)]
    named = [axis for axis in axes if axis is not None]
    if named == sorted(named):
        first = next(i for i, axis in enumerate(axes) if axis is not None)
        return reshape(value, axes[first:])
    return PermuteOp.build(reshape(value, own), permutation=permutation)


def _is_scalar(value: ir.Value) -> bool:
    """Whether `value` has one element and broadcasts into images in whatever layout."""
    return len(shape_of(value)) <= 4 and all(size == 1 for size in shape_of(value))


def inverse(permutation: list[int]) -> list[int]:
    """The permutation that undoes `permutation`."""
    return sorted(range(len(permutation)), key=lambda axis: permutation[axis])


def permuted_by(value: ir.Value, permutation: list[int]) -> bool:
    """Whether `value` is the result of a graph.permute by `permutation`."""
    operation = operation_of(value)
    if operation is None or operation.name != "graph.permute":
        return False
    return attributes_of(operation).permutation == permutation


def sinking_patterns(permutation: list[int]) -> list[Pattern]:
    """The patterns that move a permute by `permutation` below every op that can take its input instead."""
    by_class: dict[type[SinkPermute], list[str]] = {
        SinkThroughElementwise: list(ELEMENTWISE_OPS),
        SinkThroughAxis: [
            "graph.batch_norm",
            "graph.group_norm",
            "graph.integer_softmax",
            "graph.resample",
            "graph.softmax",
        ],
        SinkThroughConcat: ["graph.concat"],
        SinkThroughBounds: ["graph.border_pad", "graph.pad", "graph.slice"],
        SinkThroughReduce: ["graph.reduce"],
    }
    return [kind(name, permutation) for kind, names in by_class.items() for name in names]


@dataclasses.dataclass(frozen=True)
class ChooseLayout(Pass):
    """Bring images into one layout and move the permutes to the inputs and outputs of the network."""

    name = "choose-layout"

    image_layout: str = "NHWC"
    """The layout of images in convolutions and pools: NHWC or NCHW."""

    def __post_init__(self) -> None:
        if self.image_layout not in LAYOUTS:
            raise PipelineError(
                f"pass '{self.name}': option 'image-layout' must be NHWC or NCHW, got '{self.image_layout}'"
            )

    def run(self, module: ir.Operation) -> None:
        apply_patterns(module, [TurnLine()])
        images = ("avg_pool2d", "conv2d", "conv_transpose2d", "max_pool2d", "sum_pool2d")
        apply_patterns(module, [SetLayout(f"graph.{name}", self.image_layout) for name in images])
        leave = inverse(list(LAYOUTS[self.image_layout]))
        apply_patterns(
            module,
            [MergePermutes(), MergeReshapes(), AbsorbPermutes(), *line_patterns(leave), *sinking_patterns(leave)],
        )
        erase_dead_ops(module)
        # Last, as a reshape no longer tells which permute it was.
        apply_patterns(module, [ConvertPermuteToReshape()])
        erase_dead_ops(module)
