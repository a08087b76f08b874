"""Small builders that several passes over the graph dialect share."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.base import element_type_of, shape_of
from terrace.dialects.graph import BroadcastOp, CastOp, PermuteOp, ReshapeOp
from terrace.dialects.graph_contraction import heads_moved
from terrace.mlir import DYNAMIC, arith, ir, operation_of, tensor, walk

_KEPT_OPS = frozenset(
    f"graph.{name}"
    for name in ("parameter", "constant", "part", "state", "load_state", "store_state", "fusion", "yield")
)
"""Ops of the graph dialect that are not pure functions on tensors: symbols, effects, regions and terminators."""


def splat(value: float, element_type: ir.Type, shape: Sequence[int] = ()) -> ir.Value:
    """An `arith.constant` tensor full of `value`; a scalar by default, which broadcasts anywhere."""
    if isinstance(element_type, ir.IntegerType):
        element: ir.Attribute = ir.IntegerAttr.get(element_type, int(value))
    else:
        element = ir.FloatAttr.get(element_type, float(value))
    type_ = ir.RankedTensorType.get(list(shape), element_type)
    return arith.ConstantOp(type_, ir.DenseElementsAttr.get_splat(type_, element)).result


def convert(value: ir.Value, element_type: ir.Type) -> ir.Value:
    """`value` in another element type; itself where that is its own."""
    if element_type_of(value) == element_type:
        return value
    return CastOp.build(value, result_type=ir.RankedTensorType.get(shape_of(value), element_type))


def splat_value(value: ir.Value) -> float | int | None:
    """The number that every element of `value` is, when it is a splat constant; else None."""
    operation = operation_of(value)
    if operation is None or operation.name != "arith.constant":
        return None
    attribute = operation.attributes["value"]
    if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
        return None
    return attribute.get_splat_value().value


def size_of(value: ir.Value, axis: int) -> ir.Value:
    """The size of `value` along `axis`, as an index read at run time."""
    index = ir.IndexType.get()
    return tensor.DimOp(value, arith.ConstantOp(index, ir.IntegerAttr.get(index, axis)).result).result


def reshape(value: ir.Value, axes: Sequence[int | None]) -> ir.Value:
    """`value` with dimensions of size 1 put in or left out: result dimension i is `axes[i]` of `value`, or 1 for None.

    The dimensions of `value` that are not named must have size 1, and the named ones must ascend.
    """
    shape = shape_of(value)
    if list(axes) == list(range(len(shape))):
        return value
    sizes = [1 if axis is None else shape[axis] for axis in axes]
    dynamic = [size_of(value, axis) for axis in axes if axis is not None and shape[axis] == DYNAMIC]
    type_ = ir.RankedTensorType.get(sizes, element_type_of(value))
    return ReshapeOp.build(value, *dynamic, result_type=type_)


def repeat_heads(value: ir.Value, heads: int) -> ir.Value:
    """`value` [b..., g, s, e] with each of its g heads repeated in place until there are `heads`, a multiple of g."""
    shape, axis = shape_of(value), len(shape_of(value)) - 3
    own = shape[axis]
    if own in (heads, DYNAMIC):
        return value
    element_type = element_type_of(value)
    sizes = [size_of(value, i) for i, size in enumerate(shape) if size == DYNAMIC]
    apart = reshape(value, [*range(axis + 1), None, *range(axis + 1, len(shape))])
    wide = [*shape[: axis + 1], heads // own, *shape[axis + 1 :]]
    copies = BroadcastOp.build(apart, *sizes, result_type=ir.RankedTensorType.get(wide, element_type))
    joined = ir.RankedTensorType.get([*shape[:axis], heads, *shape[axis + 1 :]], element_type)
    return ReshapeOp.build(copies, *sizes, result_type=joined)


def move_heads(value: ir.Value, result_type: ir.Type | None = None) -> ir.Value:
    """[b..., h, l, e] as [b..., l, h, e], and the other way round."""
    return PermuteOp.build(value, permutation=heads_moved(range(len(shape_of(value)))), result_type=result_type)


def along_axis(vector: ir.Value, axis: int, rank: int) -> ir.Value:
    """`vector` of shape [channels], shaped to broadcast along dimension `axis` of a tensor of this rank."""
    return reshape(vector, [0] + [None] * (rank - 1 - axis))


def users_of(value: ir.Value) -> list[ir.Operation]:
    """The distinct ops that use `value`."""
    return list({use.owner.operation: None for use in value.uses})


def erase_dead_ops(root: ir.Operation) -> bool:
    """Erase the ops of the graph dialect in `root` that nothing uses, and constants and sizes likewise; True if any."""
    erased = False
    for operation in reversed(list(walk(root))):
        if _is_removable(operation) and not any(list(result.uses) for result in operation.results):
            operation.erase()
            erased = True
    return erased


def _is_removable(operation: ir.Operation) -> bool:
    if operation.name in ("arith.constant", "tensor.dim"):
        return True
    return operation.name.startswith("graph.") and operation.name not in _KEPT_OPS
