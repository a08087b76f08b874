"""Places of extremes, the numbers from 0 on that they are taken from, scans, and orders of elements."""

from __future__ import annotations

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import element_type_of, shape_of
from terrace.lowering.conversion.graph_to_linalg import builders as b
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
    to_index,
)
from terrace.mlir import DYNAMIC, arith, ir, linalg

I64_WIDTH = 64

MAX_COUNT = 1 << 16
"""The most numbers that a constant lists."""


def place_of_extreme(kind: str) -> Builder:
    """The builder of argmax or argmin: of the elements that equal the extreme, or are NaN like it, the first place."""

    def build(op: TorchOp) -> ir.Value | None:
        value = op.tensor(0)
        shape = shape_of(value)
        axis = None if op.is_none(1) else op.axis(1, len(shape))
        if is_bool(element_type_of(value)):
            value = cast(value, ir.IntegerType.get_signless(32))
        if op.is_none(1) or not shape:
            value, axis = flattened(value), 0
        if axis is None:
            return None
        extreme = graph.ReduceOp.build(value, kind=kind, axes=[axis], keepdims=True)
        is_it = graph.CompareOp.build(value, extreme, predicate="eq")
        if is_float(element_type_of(value)):
            is_it = graph.AddOp.build(is_it, graph.CompareOp.build(value, value, predicate="ne"))
        none = scalar(2**63 - 1, ir.IntegerType.get_signless(I64_WIDTH))
        candidates = graph.SelectOp.build(is_it, places(value, axis), none)
        keepdims = op.flag(2) and not op.is_none(1)
        found = graph.ReduceOp.build(candidates, kind="min", axes=[axis], keepdims=keepdims)
        return reshape(found, op.result_shape) if op.is_none(1) and op.result_shape else found

    return build


def flattened(value: ir.Value) -> ir.Value:
    """`value` as a vector."""
    sizes = b.sizes_of(value)
    count = b.product(sizes)
    dynamic = [] if isinstance(count, int) else [count]
    return reshape(value, [count if isinstance(count, int) else DYNAMIC], dynamic)


def places(value: ir.Value, axis: int) -> ir.Value:
    """0, 1, 2, ... along `axis` of `value`, as i64, of size 1 in all other dimensions."""
    shape = [1] * len(shape_of(value))
    i64 = ir.IntegerType.get_signless(I64_WIDTH)
    size = b.size_of(value, axis)
    if isinstance(size, int) and 0 < size <= MAX_COUNT:
        # What is known is a constant: hardware has no other way to count.
        return reshape(numbers(range(size)), [*shape[:axis], size, *shape[axis + 1 :]])
    sizes = [*shape[:axis], size, *shape[axis + 1 :]]
    return b.elementwise([], [], sizes, i64, lambda: arith.index_cast(i64, linalg.IndexOp(axis).result))


def numbers(counted: range) -> ir.Value:
    """A constant vector of i64."""
    type_ = ir.RankedTensorType.get([len(counted)], ir.IntegerType.get_signless(I64_WIDTH))
    return arith.constant(type_, ir.DenseElementsAttr.get(np.array(counted, np.int64)))


@converts("torch.aten.arange.start_step")
def build_arange(op: TorchOp) -> ir.Value | None:
    """Whole numbers from operand 0 to before operand 1, by steps of operand 2."""
    given = [op.number(index) for index in range(3)]
    if given == [0, None, 1] and str(op.result_element_type) == "f64" and str(op.value(1).type) == "!torch.int":
        # torch-mlir counts these by numbers of f64, which IREE cannot make a size of.
        i64 = ir.IntegerType.get_signless(I64_WIDTH)
        size = to_index(op.value(1))
        counted = b.elementwise([], [], [size], i64, lambda: arith.index_cast(i64, linalg.IndexOp(0).result))
        return cast(counted, op.result_element_type)
    whole = [int(number) for number in given if number is not None and number == int(number)]
    if len(whole) < len(given) or whole[2] == 0 or not 0 < len(range(*whole)) <= MAX_COUNT:
        return None
    if max(map(abs, whole)) > 1 << 24 or str(op.result_element_type) not in ("f32", "f64", "i32", "i64"):
        return None
    return cast(numbers(range(*whole)), op.result_element_type)


BUILDERS.update({"torch.aten.argmax": place_of_extreme("max"), "torch.aten.argmin": place_of_extreme("min")})


def _comparable(value: ir.Value) -> ir.Value:
    """Truth values as numbers."""
    return cast(value, ir.IntegerType.get_signless(8)) if is_bool(element_type_of(value)) else value


@converts("torch.terrace.argsort")
def build_argsort(op: TorchOp) -> ir.Value | None:
    value = _comparable(op.tensor(0))
    axis = op.axis(1, len(shape_of(value)))
    return None if axis is None else graph.ArgsortOp.build(value, axis=axis, descending=op.flag(2))


@converts("torch.terrace.topk")
def build_topk(op: TorchOp) -> ir.Value | None:
    value, count = _comparable(op.tensor(0)), op.integer(2)
    axis = op.axis(1, len(shape_of(value)))
    if axis is None or count is None:
        return None
    return graph.TopkOp.build(value, axis=axis, count=count, descending=op.flag(3))


@converts("torch.aten.cumsum")
def build_cumsum(op: TorchOp) -> ir.Value | None:
    """Made in the type of the result, as PyTorch does."""
    value = cast(op.tensor(0), op.result_element_type)
    axis = op.axis(1, len(shape_of(value)))
    if not shape_of(value):
        return value
    return None if axis is None else graph.ScanOp.build(value, axis=axis, kind="sum")


@converts("torch.terrace.scan")
def build_scan(op: TorchOp) -> ir.Value | None:
    value = op.tensor(0)
    axis = op.axis(1, len(shape_of(value)))
    return None if axis is None else graph.ScanOp.build(value, axis=axis, kind=op.string(2))


@converts("torch.terrace.arg_scan")
def build_arg_scan(op: TorchOp) -> ir.Value | None:
    value = _comparable(op.tensor(0))
    axis = op.axis(1, len(shape_of(value)))
    return None if axis is None else graph.ArgScanOp.build(value, axis=axis, kind=op.string(2))
