"""Arithmetic on symbolic numbers as arithmetic on tensors of rank 0, which torch-mlir has all of."""

from __future__ import annotations

import operator

import torch
from torch.fx.node import Argument

from terrace.frontend.inserter import Inserter

aten = torch.ops.aten

COMPARISONS = {
    operator.eq: aten.eq.Tensor,
    operator.ge: aten.ge.Tensor,
    operator.gt: aten.gt.Tensor,
    operator.le: aten.le.Tensor,
    operator.lt: aten.lt.Tensor,
    operator.ne: aten.ne.Tensor,
}
CONNECTIVES = {operator.and_: aten.logical_and.default, operator.or_: aten.logical_or.default}
ARITHMETIC = {operator.add: aten.add.Tensor, operator.mul: aten.mul.Tensor, operator.sub: aten.sub.Tensor}


def condition_tensor(insert: Inserter, value: Argument) -> torch.fx.Node:
    """A boolean tensor of the condition `value`, a bool or the node of one."""
    if not isinstance(value, torch.fx.Node):
        return insert.call(aten.scalar_tensor.default, value, dtype=torch.bool)
    if value.target in COMPARISONS:
        lhs, rhs = (number_tensor(insert, argument) for argument in value.args)
        return insert.call(COMPARISONS[value.target], lhs, rhs)
    if value.target in CONNECTIVES:
        lhs, rhs = (condition_tensor(insert, argument) for argument in value.args)
        return insert.call(CONNECTIVES[value.target], lhs, rhs)
    if value.target in (torch.sym_not, operator.not_):
        return insert.call(aten.logical_not.default, condition_tensor(insert, value.args[0]))
    return insert.call(aten.scalar_tensor.default, value, dtype=torch.bool)


def number_tensor(insert: Inserter, value: Argument) -> torch.fx.Node:
    """An int64 tensor of the number `value`, an int or the node of one."""
    if isinstance(value, torch.fx.Node):
        if value.target in ARITHMETIC:
            lhs, rhs = (number_tensor(insert, argument) for argument in value.args)
            return insert.call(ARITHMETIC[value.target], lhs, rhs)
        if value.target is torch.sym_ite:
            condition, first, second = value.args
            chosen = (number_tensor(insert, argument) for argument in (first, second))
            return insert.call(aten.where.self, condition_tensor(insert, condition), *chosen)
        source = value.args[0] if value.args else None
        if value.target == aten._local_scalar_dense.default and isinstance(source, torch.fx.Node) and is_int64(source):
            return source
    return insert.call(aten.scalar_tensor.default, value, dtype=torch.int64)


def is_int64(value: torch.fx.Node) -> bool:
    """Whether a node gives an int64 tensor of rank 0."""
    tensor = value.meta["val"]
    return bool(tensor.dtype == torch.int64 and tensor.ndim == 0)
