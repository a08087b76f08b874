"""The family `attention`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of
from terrace.dialects.graph_contraction import heads_moved
from terrace.lowering.kernels.attention.generator import generate
from terrace.lowering.kernels.attention.schedule import (
    ROWS,
    SKIPPING,
    WIDEST,
    alternatives,
    best_variant,
    schedule_for_circuit,
    schedule_for_vectors,
    schedule_for_workgroups,
)
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, along, numbered
from terrace.lowering.kernels.schedule import DIRECT
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine, VectorMachine, WorkgroupMachine
from terrace.mlir import DYNAMIC, ir


class Attention(KernelFamily):
    """Attention whole: the scores of a few queries are in memory at a time, never all of them."""

    name = "attention"
    roots = (graph.AttentionOp,)
    fusing_roots = roots
    operands = ("query", "key", "value", "mask")
    any_rank = True
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(kernel.space, machine),
        WorkgroupMachine: lambda kernel, machine: schedule_for_workgroups(kernel.space, machine),
        CircuitMachine: lambda kernel, machine: schedule_for_circuit(kernel.space),
    }
    variants = (DIRECT, ROWS, SKIPPING)
    variant_schedules = {VectorMachine: best_variant}
    alternatives = {VectorMachine: lambda kernel, chosen, machine: alternatives(kernel.space, machine)}
    words = "queries in lanes; both products, the one over e and the one over s, take fewest cycles"

    def refusal(self, root: ir.Operation) -> str | None:
        widths = [shape_of(root.operands[number])[-1] for number in (0, 2)]
        if DYNAMIC in widths:
            return "attention of heads whose size is known at run time only"
        return f"attention of heads of more than {WIDEST} elements" if sum(widths) > WIDEST else None

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        """Dimensions m (queries), n (columns of the result), s (keys), e (columns of keys), b before them.

        Heads that stand apart are h; where they share keys, g are the heads of the keys, and r those of the queries for
        each.
        """
        assert root is not None
        attrs, shared = attributes_of(root), _heads_per_key(root)
        tensors = [shape_of(value) for value in list(root.operands)[:3]]
        query, key, _, outer = graph.AttentionOp.outer_shapes([*tensors, list(result)], attrs)
        batch = numbered("b", len(outer) - (3 if _heads_apart(root) else 2))
        heads: tuple[str, ...] = ()
        own = here = along(*batch)
        if shared > 1:
            heads, own, here = ("g", "r"), (*own, *along("g")), (*here, Axis({"g": shared, "r": 1}))
        elif _heads_apart(root):
            heads, own, here = ("h",), (*own, *along("h")), (*here, *along("h"))
        counts = {0: (), 1: outer[-3:-2], 2: (key[-3], shared)}[len(heads)]
        accesses = [
            (*here, *along("m", "e")),
            (*own, *along("s", "e")),
            (*own, *along("s", "n")),
            (*here, *along("m", "n")),
        ]
        for number in graph.AttentionOp.inner_heads(attrs):
            accesses[number] = tuple(heads_moved(accesses[number]))
        names = (*batch, *heads, "m", "n", "s", "e")
        kinds = ("parallel",) * (len(names) - 2) + ("reduction",) * 2
        sizes = (*outer[: len(batch)], *counts, *outer[-2:], key[-2], query[-1])
        scores, known = (*here, *along("m", "s")), dict(zip(names, sizes, strict=True))
        for mask in map(shape_of, list(root.operands)[3:]):
            axes = zip(mask, scores[len(scores) - len(mask) :], strict=True)
            mask_axes = (axis.once() if size == 1 != axis.span(known) else axis for size, axis in axes)
            accesses.insert(3, tuple(mask_axes))
        return IterationSpace(names, kinds, sizes, tuple(accesses))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)


def _heads_per_key(root: ir.Operation) -> int:
    shapes = [shape_of(value) for value in list(root.operands)[:2]]
    return graph.AttentionOp.heads_per_key(*graph.AttentionOp.outer_shapes(shapes, attributes_of(root)))


def _heads_apart(root: ir.Operation) -> bool:
    """Whether heads are no batches: they share keys, or rows come before them."""
    return bool(graph.AttentionOp.inner_heads(attributes_of(root))) or _heads_per_key(root) > 1
