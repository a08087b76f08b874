"""The family `encoded_matmul`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of
from terrace.dialects.encodings import IntegerGroups, encoding_of
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.encoded_matmul.generator import generate
from terrace.lowering.kernels.encoded_matmul.schedule import LONGEST, UNIT, alternatives, schedule_for_vectors
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import IterationSpace, along, numbered
from terrace.lowering.kernels.packing import Pack
from terrace.lowering.kernels.type_rule import TypeRule, all_in, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC, ir


class EncodedMatmul(KernelFamily):
    """Products by weights that are stored as integers in groups, and decoded in registers or in a worker's memory."""

    name = "encoded_matmul"
    roots = (graph.EncodedMatmulOp,)
    fusing_roots = roots
    operands = ("lhs", "rhs", "scales", "zero_points")
    schedules = {VectorMachine: schedule_for_vectors}
    alternatives = {VectorMachine: lambda kernel, chosen, machine: alternatives(kernel, machine)}
    packed_schedules = {
        VectorMachine: lambda kernel, how, machine: (
            schedule_for_vectors(kernel, machine, block=how.inner_tiles[0]) if isinstance(how, Pack) else None
        ),
    }

    def refusal(self, root: ir.Operation) -> str | None:
        """Codes are taken `UNIT` along k at a time, which are of one group."""
        encoding, (lhs, codes) = encoding_of(attributes_of(root).encoding), list(root.operands)[:2]
        k = shape_of(lhs)[-1]
        if not isinstance(encoding, IntegerGroups) or encoding.axis != int(attributes_of(root).transpose_rhs):
            return f"an encoding of rhs, {encoding.kind}, that is not of groups along k"
        if DYNAMIC in (k, *shape_of(codes)):
            return "a weight of dynamic shape"
        if k % UNIT or (encoding.group % UNIT and encoding.group < k):
            return f"k of {k} in groups of {encoding.group}, of which one is no multiple of {UNIT}"
        if k > LONGEST:
            return f"k of {k}, of which a worker keeps {LONGEST} at most"
        return None

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        """lhs and the result are computed in f32; what is stored is decoded to that."""
        types = types_of(root)
        return TypeRule(types[:-1], "f32", types[-1:]) if all_in("f32", (types[0], types[-1])) else None

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        """Dimensions m, n and k, as those of a matmul; what is stored has an axis along n and one along k."""
        assert root is not None
        rows = numbered("m", len(result) - 1)
        stored = along("n", "k") if attributes_of(root).transpose_rhs else along("k", "n")
        accesses = (along(*rows, "k"), *[stored] * (len(root.operands) - 1), along(*rows, "n"))
        kinds = ("parallel",) * len(result) + ("reduction",)
        return IterationSpace((*rows, "n", "k"), kinds, (*result, shape_of(root.operands[0])[-1]), accesses)

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)
