"""Places of extremes, and the numbers from 0 on that they are taken from."""

from __future__ import annotations

import math

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import element_type_of, shape_of
from terrace.lowering.conversion.torch_to_graph.reduction import reduced
from terrace.lowering.conversion.torch_to_graph.torch_op import (
    BUILDERS,
    Builder,
    TorchOp,
    cast,
    converts,
    is_bool,
    is_float,
    reshape,
    scalar,
)
from terrace.mlir import DYNAMIC, arith, ir

I64_WIDTH = 64

MAX_COUNT = 1 << 16
"""The most numbers that a constant lists."""


def place_of_extreme(kind: str) -> Builder:
    """The builder of argmax or argmin: of the elements that equal the extreme, or are NaN like it, the first place."""

    def build(op: TorchOp) -> ir.Value | None:
        value = op.tensor(0)
        shape = shape_of(value)
        is_whole = op.is_none(1)
        if not shape or DYNAMIC in shape or 0 in shape or math.prod(shape) > MAX_COUNT:
            return None
        if is_bool(element_type_of(value)):
            value = cast(value, ir.IntegerType.get_signless(32))
        if is_whole:
            value = reshape(value, [math.prod(shape)])
        axis = 0 if is_whole else op.axis(1, len(shape))
        if axis is None:
            return None
        keepdims = op.flag(2)
        extreme = reduced(value, kind, [axis], keepdims=True)
        is_it = graph.CompareOp.build(value, extreme, predicate="eq")
        if is_float(element_type_of(value)):
            is_it = graph.AddOp.build(is_it, graph.CompareOp.build(value, value, predicate="ne"))
        count = shape_of(value)[axis]
        places = reshape(numbers(range(count)), [count] + [1] * (len(shape_of(value)) - 1 - axis))
        found = graph.SelectOp.build(is_it, places, scalar(count, ir.IntegerType.get_signless(I64_WIDTH)))
        return reshape(reduced(found, "min", [axis], keepdims and not is_whole), op.result_shape)

    return build


def numbers(counted: range) -> ir.Value:
    """A constant vector of i64."""
    type_ = ir.RankedTensorType.get([len(counted)], ir.IntegerType.get_signless(I64_WIDTH))
    return arith.constant(type_, ir.DenseElementsAttr.get(np.array(counted, np.int64)))


@converts("torch.aten.arange.start_step")
def build_arange(op: TorchOp) -> ir.Value | None:
    """Whole numbers from operand 0 to before operand 1, by steps of operand 2."""
    given = [op.number(index) for index in range(3)]
    whole = [int(number) for number in given if number is not None and number == int(number)]
    if len(whole) < len(given) or whole[2] == 0 or not 0 < len(range(*whole)) <= MAX_COUNT:
        return None
    if max(map(abs, whole)) > 1 << 24 or str(op.result_element_type) not in ("f32", "f64", "i32", "i64"):
        return None
    return cast(numbers(range(*whole)), op.result_element_type)


BUILDERS.update({"torch.aten.argmax": place_of_extreme("max"), "torch.aten.argmin": place_of_extreme("min")})
