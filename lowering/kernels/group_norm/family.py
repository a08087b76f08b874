"""The family `group_norm`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import attributes_of, shape_of, to_attribute
from terrace.lowering.kernels.alternatives import UNROLLS
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.kernels.group_norm.generator import generate
from terrace.lowering.kernels.group_norm.schedule import schedule_for_vectors
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, along, numbered
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC, ir


class GroupNorm(KernelFamily):
    """Norms over groups of channels, images in NCHW or NHWC."""

    name = "group_norm"
    roots = (graph.GroupNormOp,)
    fusing_roots = (graph.GroupNormOp,)
    operands = ("input", "scale", "shift")
    wide_types = ("f64",)
    schedules = {VectorMachine: lambda kernel, machine: schedule_for_vectors(kernel.space, machine)}
    alternatives = {
        VectorMachine: lambda kernel, chosen, machine: (
            schedule_for_vectors(kernel.space, machine, unroll) for unroll in UNROLLS
        ),
    }
    words = "several vectors in flight, of pixels of a channel or of channels of a pixel"

    def refusal(self, root: ir.Operation) -> str | None:
        shape, axis = shape_of(root.results[0]), attributes_of(root).axis
        if shape[axis] == DYNAMIC:
            return "group_norm of an unknown number of channels"
        if axis not in (1, len(shape) - 1):
            return "group_norm whose channels are neither dimension 1 nor the last"
        return None

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        """The kernel has a batch, pixels and channels."""
        return {"axis": to_attribute(1 if _is_first(root) else 2)}

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        """The batch n, groups g, channels c of a group, and pixels s. What has channels alone has one pixel."""
        assert root is not None
        attrs, own = attributes_of(root), result[attributes_of(root).axis] // attributes_of(root).groups
        channels, (batch,) = Axis({"g": own, "c": 1}), along("n")
        sides = [size for axis, size in enumerate(result) if axis not in (0, attrs.axis)]
        pixels = numbered("s", max(1, len(sides)))
        image = (*along(*pixels),) if sides else (Axis({"s": 0}),)
        sizes = dict(zip(pixels, sides or [1], strict=True)) | {"n": result[0], "g": attrs.groups, "c": own}
        if _is_first(root):
            names, whole = ("n", "g", "c", *pixels), (batch, channels, *image)
        else:
            names, whole = ("n", "g", *pixels, "c"), (batch, *image, channels)
        kinds = ("parallel", "parallel") + ("reduction",) * (len(names) - 2)
        return IterationSpace(names, kinds, tuple(sizes[name] for name in names), (whole, *[(channels,)] * 2, whole))

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        generate(b, kernel)


def _is_first(root: ir.Operation) -> bool:
    """Whether channels come before pixels; where there are none, it is as if these came first."""
    axis, rank = attributes_of(root).axis, len(shape_of(root.results[0]))
    return axis == 1 and rank > 2
