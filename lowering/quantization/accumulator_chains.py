"""Chains: an op that makes wide sums, with what follows it before its result is rounded to eight bits.

A product of matrices or a convolution is followed by its bias, multiplication by a number, and a ReLU; a sum of two
tensors by a ReLU. Each step is the only user of the one before.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of, shape_of
from terrace.dialects.graph_base import image_axes
from terrace.lowering.graph.builders import splat_value, users_of
from terrace.mlir import ir, operation_of

CONTRACTIONS = ("graph.batch_matmul", "graph.conv2d", "graph.matmul")
CHAIN_ROOTS = (*CONTRACTIONS, "graph.add", "graph.sub")


@dataclasses.dataclass(frozen=True)
class Chain:
    """`operations` from the root to the last; what they compute is relu(factor * (root + bias)), relu if `is_relu`."""

    operations: tuple[ir.Operation, ...]
    bias: ir.Value | None = None
    factor: float = 1.0
    is_relu: bool = False

    @property
    def root(self) -> ir.Operation:
        return self.operations[0]

    @property
    def result(self) -> ir.Value:
        return self.operations[-1].results[0]


def channel_axis(root: ir.Operation) -> int:
    """The dimension of a contraction's result that its weights' output channels run along."""
    rank = len(shape_of(root.results[0]))
    return image_axes(attributes_of(root).layout)[0] if root.name == "graph.conv2d" else rank - 1


def is_weight(value: ir.Value, constant: set[ir.Value]) -> bool:
    """Whether a value is computed from parameters alone: its quantised form is a constant expression, too."""
    if value not in constant:
        return False
    pending = [value]
    while pending:
        operation = operation_of(pending.pop())
        assert operation is not None, "a constant expression has no block arguments"
        if operation.name == "graph.load":
            return True
        pending += operation.operands
    return False


def chain_of(root: ir.Operation, constant: set[ir.Value]) -> Chain:
    """The chain that begins with `root`."""
    chain = Chain((root,))
    has_weight = root.name in CONTRACTIONS and is_weight(root.operands[1], constant)
    while not chain.is_relu:
        users = users_of(chain.result)
        if len(users) != 1 or users[0].block != root.block or len(users[0].results) != 1:
            break
        if shape_of(users[0].results[0]) != shape_of(root.results[0]):
            break
        longer = _followed_by(chain, users[0], constant, has_weight)
        if longer is None:
            break
        chain = longer
    return chain


def _followed_by(chain: Chain, user: ir.Operation, constant: set[ir.Value], has_weight: bool) -> Chain | None:
    operations = (*chain.operations, user)
    if user.name == "graph.relu":
        return dataclasses.replace(chain, operations=operations, is_relu=True)
    if len(user.operands) != 2 or chain.root.name not in CONTRACTIONS:
        return None
    other = user.operands[1] if user.operands[0] == chain.result else user.operands[0]
    if user.name == "graph.mul":
        number = splat_value(other)
        if number is None or not 0 < number < float("inf"):
            return None
        return dataclasses.replace(chain, operations=operations, factor=chain.factor * number)
    is_first = chain.bias is None and chain.factor == 1
    if user.name == "graph.add" and has_weight and is_first and _is_bias(other, chain.root, constant):
        return dataclasses.replace(chain, operations=operations, bias=other)
    return None


def _is_bias(value: ir.Value, root: ir.Operation, constant: set[ir.Value]) -> bool:
    """Whether a value has a constant number for each output channel."""
    if not is_weight(value, constant):
        return False
    shape, result = shape_of(value), shape_of(root.results[0])
    axis = channel_axis(root) - (len(result) - len(shape))
    return axis >= 0 and all(size == (result[channel_axis(root)] if i == axis else 1) for i, size in enumerate(shape))
