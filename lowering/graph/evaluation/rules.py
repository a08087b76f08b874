"""The table of evaluation rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from terrace.dialects.base import Attributes, attributes_of, shape_of
from terrace.dialects.rules import RuleTable
from terrace.lowering.graph.evaluation.arrays import Array, numpy_type
from terrace.mlir import ir

EvaluationRule = Callable[[ir.Operation, Attributes, list[Array]], Sequence[Array]]
"""The results of an op, from its attributes and what its operands are; floating point may be wider than declared."""

EVALUATION: RuleTable[EvaluationRule] = RuleTable("constant evaluation")

OnlyResult = Callable[[ir.Operation, Attributes, list[Array]], Array]


def evaluates(*op_classes: type[ir.OpView]) -> Callable[[OnlyResult], OnlyResult]:
    """Make what this decorates, a function that gives the only result of an op, the rule of `op_classes`."""

    def register(function: OnlyResult) -> OnlyResult:
        EVALUATION.add(*op_classes)(lambda op, attrs, operands: [np.asarray(function(op, attrs, operands))])
        return function

    return register


def unary(op: ir.Operation, value: Array) -> Array:
    """What an elementwise op of one operand makes of an array of float64."""
    with np.errstate(all="ignore"):
        (result,) = EVALUATION.of(op)(op, attributes_of(op), [value])
    return result


def result_type(op: ir.Operation) -> np.dtype[Any]:
    """The element type of an op's only result."""
    return numpy_type(op.result)


def result_shape(op: ir.Operation) -> list[int]:
    """The shape of an op's only result."""
    return shape_of(op.result)
