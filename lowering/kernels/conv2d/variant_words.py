"""What `terrace-explain` says of a convolution's variant: what the cost model predicts of each, and how one is cut."""

from __future__ import annotations

from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.kernels.conv2d.implicit_gemm_shape import IMPLICIT_GEMM, GemmShape
from terrace.lowering.kernels.conv2d.variants import MARGIN, candidates
from terrace.lowering.kernels.conv2d.winograd_shape import WinogradShape, refusal
from terrace.lowering.kernels.schedule import DIRECT, Schedule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import VectorMachine


def explain_variants(kernel: KernelView, direct: Schedule, machine: VectorMachine) -> list[str]:
    """The predicted cycles of each variant, or why there is but one."""
    root = kernel.root
    reason = refusal(kernel.space, attributes_of(root), shape_of(root.operands[0]), kernel.operand_types[0])
    if reason is None and not kernel.constant[1]:
        reason = "is for weights that are constant"
    found = candidates(kernel, direct, machine)
    if not found:
        return [f"variant: {kernel.schedule.variant}, as Winograd's filtering {reason}"]
    costs = ", ".join(f"{name} {cycles / 1e6:.3f}" for name, (cycles, _) in found.items())
    return [
        f"variant: {kernel.schedule.variant}; predicted Mcycles: {costs}; another than {DIRECT} is taken below"
        f" {MARGIN} of its cycles, Winograd's unless the option 'winograd' is off"
    ]


def explain_products(kernel: KernelView) -> list[str]:
    """How a variant is cut."""
    if kernel.schedule.variant == IMPLICIT_GEMM:
        return _explain_implicit_gemm(GemmShape.of(kernel))
    shape = WinogradShape.of(kernel)
    tiles = "each tile" if shape.tiles is None else f"{shape.tiles} tiles of an image"
    return [
        f"tiles: {tiles} of {shape.outputs} x {shape.outputs} results,"
        f" {shape.planes} products instead of {9 * shape.outputs**2} for an input and an output channel",
        f"block: a run of {shape.block} tiles, row by row, whose transformed input stays in local memory",
        f"tile: up to {shape.product_rows} tiles by {kernel.schedule.tile('oc')} channels in registers",
    ]


def _explain_implicit_gemm(shape: GemmShape) -> list[str]:
    planes = f" in {len(shape.planes)} planes" if len(shape.planes) > 1 else ""
    return [
        f"image: the rows that {shape.block} rows of results read, {shape.depth} terms each{planes}, in local memory",
        f"run: {shape.rows} rows of {shape.wide} results, of which {shape.width} are stored, end to end",
        f"tile: {shape.tile} results by {shape.panel} channels in blocks, over {len(shape.taps)} window elements",
    ]
