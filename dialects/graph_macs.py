"""Multiply-accumulates of the ops that sum products. All others have none, whatever else they compute."""

from __future__ import annotations

from collections.abc import Callable

from terrace.dialects.base import Attributes, attributes_of, shape_of
from terrace.dialects.graph_base import product
from terrace.dialects.graph_contraction import (
    AttentionOp,
    BatchMatmulOp,
    Contraction,
    Conv2dOp,
    ConvTranspose2dOp,
    MatmulOp,
)
from terrace.dialects.graph_encoded import EncodedMatmulOp
from terrace.dialects.rules import RuleTable
from terrace.mlir import DYNAMIC, ir

Shape = list[int]
MacsRule = Callable[[list[Shape], list[Shape], Attributes], int]
"""The count from the operands' shapes, the results' and the attributes; DYNAMIC if it depends on a `?`."""

MACS: RuleTable[MacsRule] = RuleTable("counting multiply-accumulates")


def macs_of(operation: ir.Operation) -> int:
    """Multiply-accumulates of an op; DYNAMIC if they depend on a `?`."""
    rule = MACS.get(operation)
    if rule is None:
        return 0
    operands, results = (
        [shape_of(value) for value in values if isinstance(value.type, ir.RankedTensorType)]
        for values in (operation.operands, operation.results)
    )
    return rule(operands, results, attributes_of(operation))


def _of_terms(op_class: type[Contraction]) -> MacsRule:
    return lambda shapes, results, attrs: product([*results[0], op_class.terms(shapes, attrs)])


for op_class in (BatchMatmulOp, Conv2dOp, MatmulOp):
    MACS.add(op_class)(_of_terms(op_class))


@MACS.add(EncodedMatmulOp)
def encoded_matmul_macs(shapes: list[Shape], results: list[Shape], attrs: Attributes) -> int:
    return product([*results[0], shapes[0][-1]])


@MACS.add(ConvTranspose2dOp)
def conv_transpose2d_macs(shapes: list[Shape], results: list[Shape], attrs: Attributes) -> int:
    """Every element of the image meets the part of the weight that belongs to its channel."""
    return product([*shapes[0], *shapes[1][1:]])


@MACS.add(AttentionOp)
def attention_macs(shapes: list[Shape], results: list[Shape], attrs: Attributes) -> int:
    """Of both products, masked elements included."""
    query, key, value = AttentionOp.outer_shapes(shapes[:3], attrs)
    widths = [query[-1], value[-1]]
    return product([*query[:-1], key[-2], DYNAMIC if DYNAMIC in widths else sum(widths)])
