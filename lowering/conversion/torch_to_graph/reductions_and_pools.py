"""Torch's reductions and pools."""

from __future__ import annotations

import math
from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import element_type_of, shape_of
from terrace.lowering.conversion.torch_to_graph.torch_op import (
    BUILDERS,
    Builder,
    TorchOp,
    cast,
    converts,
    drop_axes,
    insert_axis,
    is_bool,
    is_float,
    scalar,
)
from terrace.lowering.graph.payload_types import compute_type
from terrace.mlir import ir

# ---------------------------------------------------------------------------------------------------------------------
# Reductions
# ---------------------------------------------------------------------------------------------------------------------


def whole_reduction(kind: str) -> Builder:
    """The builder of a reduction over all dimensions."""

    def build(op: TorchOp) -> ir.Value | None:
        return reduce(op, kind, [], keepdims=False)

    return build


def partial_reduction(kind: str) -> Builder:
    """The builder of a reduction over the dimensions of operand 1, a list or None, kept if operand 2 is true."""

    def build(op: TorchOp) -> ir.Value | None:
        axes = [] if op.is_none(1) else op.integers(1)
        return None if axes is None else reduce(op, kind, axes, keepdims=op.flag(2))

    return build


def reduce(op: TorchOp, kind: str, axes: Sequence[int], keepdims: bool) -> ir.Value | None:
    """Operand 0 reduced in the result's element type; no axes stands for all of them, as in PyTorch."""
    element_type = op.result_element_type
    if kind == "mean" and not is_float(element_type):
        return None
    if is_bool(element_type):
        return any_or_all("any" if kind in ("sum", "max") else "all", op.tensor(0), axes, keepdims)
    return reduced(cast(op.tensor(0), element_type), kind, axes, keepdims)


def reduced(value: ir.Value, kind: str, axes: Sequence[int], keepdims: bool) -> ir.Value:
    """`value` reduced along some axes, all of them if none is named."""
    rank = len(shape_of(value))
    if rank == 0:
        return value
    ascending = sorted({axis % rank for axis in axes}) if axes else list(range(rank))
    return graph.ReduceOp.build(value, kind=kind, axes=ascending, keepdims=keepdims)


@converts("torch.aten.prod.dim_int")
def build_prod(op: TorchOp) -> ir.Value | None:
    axis = op.axis(1, len(shape_of(op.tensor(0))))
    return None if axis is None else reduce(op, "prod", [axis], keepdims=op.flag(2))


@converts("torch.aten.linalg_vector_norm")
def build_vector_norm(op: TorchOp) -> ir.Value | None:
    """Norms of the orders 1, 2, and plus and minus infinity; of half precision in float32."""
    order, axes, element_type = op.number(1), [] if op.is_none(2) else op.integers(2), op.result_element_type
    value = op.tensor(0)
    if axes is None or not is_float(element_type_of(value)) or not is_float(element_type):
        return None
    value = cast(value, compute_type(element_type))
    if order == 2:
        total = reduced(graph.MulOp.build(value, value), "sum", axes, op.flag(3))
        return cast(graph.SqrtOp.build(total), element_type)
    kind = {1: "sum", math.inf: "max", -math.inf: "min"}.get(order) if order is not None else None
    return None if kind is None else cast(reduced(graph.AbsOp.build(value), kind, axes, op.flag(3)), element_type)


def truth(kind: str) -> Builder:
    """The builder of any, or of all."""

    def build(op: TorchOp) -> ir.Value | None:
        value = op.tensor(0)
        is_whole, axis = op.name in ("torch.aten.any", "torch.aten.all"), None
        if op.name.endswith(".dim"):
            axis = op.axis(1, max(1, len(shape_of(value))))
        axes = [] if is_whole else op.integers(1) if axis is None else [axis]
        if axes is None:
            return None
        return any_or_all(kind, value, axes, not is_whole and op.flag(2))

    return build


def any_or_all(kind: str, value: ir.Value, axes: Sequence[int], keepdims: bool) -> ir.Value:
    """Whether any element is not zero, or all are not: booleans are i8 in reductions.

    The maximum of no elements is the least i8, which is as good as a false.
    """
    predicate = "ne" if kind == "any" else "eq"
    found = graph.CompareOp.build(value, scalar(0, element_type_of(value)), predicate=predicate)
    i8 = ir.IntegerType.get_signless(8)
    counted = reduced(cast(found, i8), "max", axes, keepdims)
    return graph.CompareOp.build(counted, scalar(0, i8), predicate="gt" if kind == "any" else "le")


for _kind in ("any", "all"):
    BUILDERS.update({f"torch.aten.{_kind}{form}": truth(_kind) for form in ("", ".dim", ".dims")})


BUILDERS.update(
    {
        "torch.aten.sum": whole_reduction("sum"),
        "torch.aten.mean": whole_reduction("mean"),
        "torch.aten.max": whole_reduction("max"),
        "torch.aten.min": whole_reduction("min"),
        "torch.aten.prod": whole_reduction("prod"),
        "torch.aten.sum.dim_IntList": partial_reduction("sum"),
        "torch.aten.mean.dim": partial_reduction("mean"),
        "torch.aten.amax": partial_reduction("max"),
        "torch.aten.amin": partial_reduction("min"),
    }
)


# ---------------------------------------------------------------------------------------------------------------------
# Pools
# ---------------------------------------------------------------------------------------------------------------------


def pair(values: Sequence[int] | None, default: Sequence[int]) -> list[int] | None:
    """A list of one or two numbers as two; `default` for an empty one."""
    if values is None:
        return None
    return list(values) * 2 if len(values) == 1 else list(values or default)


def build_pool(
    op: TorchOp, op_class: type[graph.TensorOp], dilations: list[int] | None, **attrs: bool
) -> ir.Value | None:
    """A pool of images or of one image; kernel, strides and padding are operands 1 to 3 of both pools."""
    kernel = pair(op.integers(1), [])
    strides = pair(op.integers(2), kernel or [])
    padding = pair(op.integers(3), [0, 0])
    value = op.tensor(0)
    rank = len(shape_of(value))
    if kernel is None or strides is None or padding is None or dilations is None:
        return None
    is_of_integers = op_class is graph.AvgPool2dOp and not is_float(element_type_of(value))
    if rank not in (3, 4) or is_of_integers or is_bool(element_type_of(value)):
        return None
    pooled = op_class.build(
        insert_axis(value, 0) if rank == 3 else value,
        kernel=kernel,
        strides=strides,
        padding=[padding[0], padding[0], padding[1], padding[1]],
        dilations=dilations,
        layout="NCHW",
        **attrs,
    )
    return drop_axes(pooled, [0]) if rank == 3 else pooled


@converts("torch.aten.max_pool2d")
def build_max_pool2d(op: TorchOp) -> ir.Value | None:
    return build_pool(op, graph.MaxPool2dOp, pair(op.integers(4), [1, 1]), ceil_mode=op.flag(5))


@converts("torch.aten.avg_pool2d")
def build_avg_pool2d(op: TorchOp) -> ir.Value | None:
    if not op.is_none(6):
        return None
    return build_pool(op, graph.AvgPool2dOp, [1, 1], ceil_mode=op.flag(4), count_include_pad=op.flag(5))
