"""The family `matmul`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import IterationSpace, along, numbered
from terrace.lowering.kernels.matmul.alternatives import alternatives
from terrace.lowering.kernels.matmul.generator import generate
from terrace.lowering.kernels.matmul.schedule import (
    ASSUMED_SIZE,
    HEIGHTS,
    schedule_for_circuit,
    schedule_for_vectors,
    schedule_for_workgroups,
    schedules_for_circuit,
)
from terrace.lowering.kernels.packing import Pack, Packing
from terrace.lowering.kernels.register_tile import ranked_tiles, register_machine
from terrace.lowering.kernels.register_tile_words import explain_register_tile
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine, Machine, VectorMachine, WorkgroupMachine
from terrace.mlir import ir


class Matmul(KernelFamily):
    """Matrix products; leading axes of one matrix are rows."""

    name = "matmul"
    roots = (graph.BatchMatmulOp, graph.MatmulOp)
    fusing_roots = roots
    operands = ("lhs", "rhs")
    wide_types = ("f64", "i32", "i64")
    types = dict.fromkeys(roots, (TypeRule(("i8", "i8"), "i32", ("i32",)),))
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(*_sizes_of(kernel), _held(kernel, machine)),
        WorkgroupMachine: lambda kernel, machine: schedule_for_workgroups(*_sizes_of(kernel), machine),
        CircuitMachine: lambda kernel, machine: schedule_for_circuit(*_sizes_of(kernel)[:3]),
    }

    alternatives = {
        CircuitMachine: lambda kernel, chosen, machine: schedules_for_circuit(*_sizes_of(kernel)[:3], machine),
        VectorMachine: lambda kernel, chosen, machine: alternatives(*_sizes_of(kernel), chosen, _held(kernel, machine)),
    }

    packed_schedules = {VectorMachine: lambda kernel, how, machine: _with_blocks(kernel, how, _held(kernel, machine))}

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        """Dimensions m, n and k, and b before them; the leading axes of a single matrix are rows."""
        assert root is not None
        batches = len(result) - 2 if root.name == "graph.batch_matmul" else 0
        batch, rows = numbered("b", batches), numbered("m", len(result) - 1 - batches)
        columns = ("n", "k") if attributes_of(root).transpose_rhs else ("k", "n")
        names = (*batch, *rows, "n", "k")
        accesses = (along(*batch, *rows, "k"), along(*batch, *columns), along(*batch, *rows, "n"))
        kinds = ("parallel",) * len(result) + ("reduction",)
        return IterationSpace(names, kinds, (*result, shape_of(root.operands[0])[-1]), accesses)

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)

    def explain_tile(self, kernel: KernelView, machine: Machine) -> list[str]:
        return explain_register_tile(kernel, machine, ("m", "n"), ASSUMED_SIZE)


def _with_blocks(kernel: KernelView, how: Packing, machine: VectorMachine) -> Schedule | None:
    """With a tile as wide as the blocks that rhs is in."""
    columns = how.inner_tiles[0] if isinstance(how, Pack) else 0
    tiles = ranked_tiles(kernel.space.known(ASSUMED_SIZE)["m"], columns, HEIGHTS, machine)
    tile = next((tile for tile in tiles if tile.columns == columns), None)
    return schedule_for_vectors(*_sizes_of(kernel), machine, tile) if tile else None


def _sizes_of(kernel: KernelView) -> tuple[IterationSpace, bool, tuple[bool, ...], TypeRule]:
    """What schedules depend on."""
    assert kernel.rule is not None
    return kernel.space, bool(attributes_of(kernel.root).transpose_rhs), kernel.constant, kernel.rule


def _held(kernel: KernelView, machine: VectorMachine) -> VectorMachine:
    return register_machine(kernel.accumulator, machine)
