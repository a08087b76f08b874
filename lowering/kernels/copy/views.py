"""What moves elements at no cost, or with its users, where a target's own code generation takes it."""

from __future__ import annotations

from terrace.dialects.base import attributes_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.graph.builders import users_of
from terrace.lowering.kernels.copy.axes import moved_axes
from terrace.lowering.kernels.registry import families_by_root
from terrace.mlir import ir, operation_of


def view_refusal(root: ir.Operation) -> str | None:
    """Why this slice, concat, pad or broadcast is no kernel where a run of memory is a view of it, or None."""
    if root.name == "graph.border_pad":
        return None
    if root.name in ("graph.slice", "graph.concat") and _is_run(root):
        return "a run of memory: a view, or written in place"
    if root.name == "graph.concat" and any(map(_is_slice_of_one, root.operands)):
        return "a slice among its parts, which is moved straight to its place"
    if root.name == "graph.slice" and [reader.name for reader in _readers(root.results[0])] == ["graph.concat"]:
        return "a part of a concat, moved straight to its place"
    if any(not _is_ours(user) for user in _readers(root.results[0])):
        return "read by what is no kernel, which may read through it"
    return None


def _is_run(root: ir.Operation) -> bool:
    """Whether the parts of a slice or concat are runs of memory: before the axis that is moved, all sizes are 1."""
    moved = sorted(moved_axes(root))
    if not moved:
        return True
    shape, last = shape_of(root.results[0]), moved[-1]
    step = attributes_of(root).steps[last] if root.name == "graph.slice" else 1
    return all(size == 1 for size in shape[:last]) and (step == 1 or shape[last] == 1)


def _is_slice_of_one(value: ir.Value) -> bool:
    """Whether a value is a slice, under whatever shape, that nothing else reads."""
    producer = operation_of(value)
    while producer is not None and producer.name == "graph.reshape":
        producer = operation_of(producer.operands[0])
    return producer is not None and producer.name == "graph.slice" and len(_readers(producer.results[0])) == 1


def _readers(value: ir.Value) -> list[ir.Operation]:
    """The ops that read a value, under whatever shape."""
    found: list[ir.Operation] = []
    for user in users_of(value):
        found += _readers(user.results[0]) if user.name == "graph.reshape" else [user]
    return found


def _is_ours(operation: ir.Operation) -> bool:
    """Whether an op may be in a kernel, or gives its operands away."""
    names = ("func.return", "graph.store_state", "tensor.dim")
    return operation.name in families_by_root() or operation.name in ELEMENTWISE_OPS or operation.name in names
