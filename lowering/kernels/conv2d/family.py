"""The family `conv2d`."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import Attributes, attributes_of, shape_of
from terrace.element_types import ElementType
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.conv2d import implicit_gemm, winograd
from terrace.lowering.kernels.conv2d.alternatives import alternatives
from terrace.lowering.kernels.conv2d.generator import generate
from terrace.lowering.kernels.conv2d.implicit_gemm_shape import IMPLICIT_GEMM
from terrace.lowering.kernels.conv2d.schedule import (
    ASSUMED_SIZE,
    schedule_for_circuit,
    schedule_for_vectors,
    schedule_for_workgroups,
    schedules_for_circuit,
)
from terrace.lowering.kernels.conv2d.space import conv2d_space, is_depthwise
from terrace.lowering.kernels.conv2d.variant_words import explain_products, explain_variants
from terrace.lowering.kernels.conv2d.variants import best_variant
from terrace.lowering.kernels.conv2d.winograd_shape import VARIANTS
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.register_tile import register_machine
from terrace.lowering.kernels.register_tile_words import explain_register_tile
from terrace.lowering.kernels.schedule import DIRECT
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine, Machine, VectorMachine, WorkgroupMachine
from terrace.mlir import DYNAMIC, ir


class Conv2d(KernelFamily):
    """Convolutions of images in NHWC, grouped and depthwise ones too."""

    name = "conv2d"
    roots = (graph.Conv2dOp,)
    fusing_roots = roots
    operands = ("input", "weight")
    wide_types = ("f64", "i32", "i64")
    types = {graph.Conv2dOp: (TypeRule(("i8", "i8"), "i32", ("i32",)),)}
    schedules = {
        VectorMachine: lambda kernel, machine: schedule_for_vectors(*_sizes_of(kernel), _held(kernel, machine)),
        WorkgroupMachine: lambda kernel, machine: schedule_for_workgroups(*_sizes_of(kernel), machine),
        CircuitMachine: lambda kernel, machine: schedule_for_circuit(*_sizes_of(kernel), machine),
    }
    assumed_size = ASSUMED_SIZE
    follows_examples = True
    alternatives = {
        CircuitMachine: lambda kernel, chosen, machine: schedules_for_circuit(*_sizes_of(kernel), machine),
        VectorMachine: lambda kernel, chosen, machine: alternatives(
            kernel,
            machine,
            functools.partial(schedule_for_vectors, *_sizes_of(kernel), _held(kernel, machine)),
        ),
    }
    variants = (DIRECT, IMPLICIT_GEMM, *VARIANTS)
    rounding_variants = tuple(VARIANTS)
    variant_schedules = {VectorMachine: best_variant}
    words = "depthwise: as many pixels of a vector of channels, with an atom of four, as registers hold"

    def refusal(self, root: ir.Operation) -> str | None:
        if attributes_of(root).layout != "NHWC":
            return "layout NCHW; choose-layout makes it NHWC"
        if DYNAMIC in shape_of(root.operands[1]):
            return "weights of dynamic shape"
        return None

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        assert root is not None
        return conv2d_space(attributes_of(root), shape_of(root.operands[1]), result)

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        own = {IMPLICIT_GEMM: implicit_gemm.generate, DIRECT: generate}
        own.get(kernel.schedule.variant, winograd.generate)(b, kernel)

    def explain_tile(self, kernel: KernelView, machine: Machine) -> list[str]:
        assert isinstance(machine, VectorMachine), "other machines compare no candidates"
        direct = schedule_for_vectors(*_sizes_of(kernel), _held(kernel, machine))
        return [*explain_variants(kernel, direct, machine), *self._explain_tile(kernel, machine)]

    def _explain_tile(self, kernel: KernelView, machine: Machine) -> list[str]:
        if kernel.schedule.variant != DIRECT:
            return explain_products(kernel)
        if is_depthwise(kernel.space.known()):
            return super().explain_tile(kernel, machine)
        return explain_register_tile(kernel, machine, ("ow", "oc"), ASSUMED_SIZE, "oh")


def _sizes_of(kernel: KernelView) -> tuple[IterationSpace, Attributes, list[int], tuple[bool, ...], ElementType]:
    """What schedules depend on."""
    root = kernel.root
    return kernel.space, attributes_of(root), shape_of(root.operands[0]), kernel.constant, kernel.operand_types[0]


def _held(kernel: KernelView, machine: VectorMachine) -> VectorMachine:
    return register_machine(kernel.accumulator, machine)
