"""The kernel families: for each, the iteration space of a group and which of its dimensions may be collapsed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.lowering.kernels.collapse import Partition, widest_partition
from terrace.lowering.kernels.group import (
    CONTRACTIONS,
    COPIES,
    KERNEL_TYPES,
    POOLS,
    REDUCTIONS,
    ROW_REDUCTIONS,
    SOFTMAXES,
    Group,
)
from terrace.lowering.kernels.schedule import IterationSpace
from terrace.mlir import DYNAMIC, ir

CONV2D_DIMS = ("n", "g", "oh", "ow", "oc", "kh", "kw", "ic")
POOL2D_DIMS = ("n", "oh", "ow", "c", "kh", "kw")
COMMON = ("conv2d", "elementwise", "matmul", "row_reduction")
"""The generators that every target uses. Where IREE runs the rest, it pools and copies as well."""


def family_of(group: Group) -> str:
    """The name of the generator for a group that has no refusal of its own."""
    root = group.root
    if root is None:
        return "elementwise"
    if root.name in ROW_REDUCTIONS:
        return "row_reduction"
    if root.name in COPIES:
        return "copy"
    if root.name in POOLS:
        return "pool2d"
    if root.name in REDUCTIONS:
        return "reduce"
    return "conv2d" if root.name == "graph.conv2d" else "matmul"


def refusal(
    group: Group,
    generators: Sequence[str],
    element_types: Sequence[str] = KERNEL_TYPES,
    reduced_types: Sequence[str] = (),
) -> str | None:
    """Why none of these generators takes the group, or None.

    Kernels read and write `element_types`; `reduced_types` are those that reductions take beside f32.
    """
    reason = group.refusal([*KERNEL_TYPES, *element_types])
    if reason is None and family_of(group) not in generators:
        reason = f"no generator for {group.root.name if group.root is not None else 'elementwise ops'}"
    if reason is not None or group.root is None:
        return reason
    root = group.root
    if root.name in COPIES + POOLS and any(DYNAMIC in shape_of(v) for v in [*root.operands, *root.results]):
        return f"{root.name} of dynamic shape"
    if root.name in COPIES:
        return None
    types = [str(element_type_of(v)) for v in [*root.operands, *root.results]]
    is_reduced = root.name in REDUCTIONS and types[0] in reduced_types and types[0] == types[1]
    if any(type_ != "f32" for type_ in types) and not is_reduced and types not in _INTEGERS.get(_form(root), []):
        return f"element type {element_type_of(root.results[0])} of {root.name}"
    if root.name in ROW_REDUCTIONS:
        return _row_reduction_refusal(root)
    if root.name in POOLS:
        return _pool2d_refusal(root)
    return _conv2d_refusal(root) if root.name == "graph.conv2d" else None


_INTEGERS = {
    **{name: [["i8", "i8", "i32"]] for name in CONTRACTIONS},
    "graph.integer_layer_norm": [["i8", "i32"]],
    "graph.integer_softmax": [["i8", "i8"]],
    "graph.max_pool2d": [["i8", "i8"]],
    "graph.reduce max": [["i8", "i8"]],
    "graph.reduce sum": [["i8", "i32"]],
    "graph.sum_pool2d": [["i8", "i32"]],
}
"""The element types of operands and result, other than f32, that a form of an op has a generator for."""


def _form(root: ir.Operation) -> str:
    return f"{root.name} {attributes_of(root).kind}" if root.name in REDUCTIONS else root.name


def _row_reduction_refusal(root: ir.Operation) -> str | None:
    rank = len(shape_of(root.results[0]))
    if root.name in SOFTMAXES and attributes_of(root).axis != rank - 1:
        return "softmax along another dimension than the last"
    return None


def _pool2d_refusal(root: ir.Operation) -> str | None:
    attrs = attributes_of(root)
    if attrs.layout != "NHWC":
        return "layout NCHW; choose-layout makes it NHWC"
    if root.name == "graph.avg_pool2d" and attrs.ceil_mode and attrs.count_include_pad:
        return "avg_pool2d with both ceil_mode and count_include_pad"
    return None


def _conv2d_refusal(root: ir.Operation) -> str | None:
    attrs = attributes_of(root)
    if attrs.layout != "NHWC":
        return "layout NCHW; choose-layout makes it NHWC"
    if DYNAMIC in shape_of(root.operands[1]):
        return "weights of dynamic shape"
    return None


def partition_of(group: Group) -> Partition:
    """The runs of the result's axes that become one dimension of the kernel each."""
    shape = shape_of(group.result)
    rank = len(shape)
    root = group.root
    if root is None:
        return widest_partition(shape, [shape_of(v) for v in group.inputs]) if rank else ((),)
    if root.name == "graph.matmul":
        return (tuple(range(rank - 1)), (rank - 1,))
    if root.name == "graph.batch_matmul":
        return (tuple(range(rank - 2)), (rank - 2,), (rank - 1,))
    if root.name in ROW_REDUCTIONS:
        columns = _columns(root)
        return (tuple(range(rank - columns)), tuple(range(rank - columns, rank)))
    if root.name in REDUCTIONS:
        return _reduced_partition(root, is_alone=len(group.operations) == 1)
    return tuple((axis,) for axis in range(rank))


def _columns(root: ir.Operation) -> int:
    """How many of its last dimensions a reduction of rows reduces."""
    if root.name in SOFTMAXES:
        return 1
    if root.name == "graph.integer_layer_norm":
        return int(attributes_of(root).dims)
    return len(shape_of(root.operands[1]))


def reduced_runs(root: ir.Operation, is_alone: bool) -> list[tuple[bool, tuple[int, ...]]]:
    """The input's axes in runs that are all reduced or all stay, which each become one dimension of the kernel.

    Axes that stay are not merged if the kernel is more than the reduction: other operands may not have them all.
    """
    axes = attributes_of(root).axes
    runs: list[tuple[bool, tuple[int, ...]]] = []
    for axis in range(len(shape_of(root.operands[0]))):
        is_reduced = axis in axes
        if runs and runs[-1][0] == is_reduced and (is_reduced or is_alone):
            runs[-1] = (is_reduced, (*runs[-1][1], axis))
        else:
            runs.append((is_reduced, (axis,)))
    return runs


def _reduced_partition(root: ir.Operation, is_alone: bool) -> Partition:
    """The runs in the result's axes; none of them where a reduced axis is gone: the kernel's result has a 1 there."""
    keepdims, position, partition = attributes_of(root).keepdims, 0, list[tuple[int, ...]]()
    for is_reduced, run in reduced_runs(root, is_alone):
        count = len(run) if keepdims or not is_reduced else 0
        partition.append(tuple(range(position, position + count)))
        position += count
    return tuple(partition)


def iteration_space(root: ir.Operation | None, result: list[int]) -> IterationSpace:
    """The iteration space of a kernel with this root op (collapsed), whose result has this shape."""
    if root is None or root.name in COPIES:
        names = tuple(f"d{i}" for i in range(len(result)))
        return IterationSpace(names, ("parallel",) * len(names), tuple(result))
    return _SPACES[root.name](root, result)


def _matmul_space(root: ir.Operation, result: list[int]) -> IterationSpace:
    k = shape_of(root.operands[0])[-1]
    names = ("m", "n", "k") if len(result) == 2 else ("b", "m", "n", "k")
    return IterationSpace(names, ("parallel",) * len(result) + ("reduction",), (*result, k))


def _conv2d_space(root: ir.Operation, result: list[int]) -> IterationSpace:
    groups = attributes_of(root).groups
    out, depth, kh, kw = shape_of(root.operands[1])
    n, oh, ow, _ = result
    sizes = (n, groups, oh, ow, out // groups, kh, kw, depth)
    return IterationSpace(CONV2D_DIMS, ("parallel",) * 5 + ("reduction",) * 3, sizes)


def _pool2d_space(root: ir.Operation, result: list[int]) -> IterationSpace:
    n, oh, ow, c = result
    sizes = (n, oh, ow, c, *attributes_of(root).kernel)
    return IterationSpace(POOL2D_DIMS, ("parallel",) * 4 + ("reduction",) * 2, sizes)


def _row_space(root: ir.Operation, result: list[int]) -> IterationSpace:
    """The columns are reduced, and then written."""
    return IterationSpace(("m", "n"), ("parallel", "reduction"), tuple(result))


def _reduce_space(root: ir.Operation, result: list[int]) -> IterationSpace:
    """The input's dimensions; the result has a 1 for each that is reduced."""
    shape, axes = shape_of(root.operands[0]), attributes_of(root).axes
    kinds = tuple("reduction" if axis in axes else "parallel" for axis in range(len(shape)))
    return IterationSpace(tuple(f"d{i}" for i in range(len(shape))), kinds, tuple(shape))


_SPACES: dict[str, Callable[[ir.Operation, list[int]], IterationSpace]] = {
    "graph.avg_pool2d": _pool2d_space,
    "graph.matmul": _matmul_space,
    "graph.batch_matmul": _matmul_space,
    "graph.conv2d": _conv2d_space,
    "graph.integer_layer_norm": _row_space,
    "graph.integer_softmax": _row_space,
    "graph.layer_norm": _row_space,
    "graph.max_pool2d": _pool2d_space,
    "graph.reduce": _reduce_space,
    "graph.rms_norm": _row_space,
    "graph.softmax": _row_space,
    "graph.sum_pool2d": _pool2d_space,
}
