"""The sizes of a convolution by Winograd's variants, and whether it can be computed so."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.dialects.base import Attributes, attributes_of, shape_of
from terrace.element_types import F32, ElementType
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.toom_cook import TAPS
from terrace.lowering.kernels.view import KernelView
from terrace.mlir import DYNAMIC

VARIANTS = {"winograd_2x2": 2, "winograd_4x4": 4}
"""The variants, and how many results a tile has along each axis."""

SPARE = 16
"""Elements between the rows of transformed inputs."""

STRIP = 16
"""Tiles side by side whose input is transformed together, at most: a vector of channels of it fits the first cache."""


def refusal(space: IterationSpace, attrs: Attributes, image: Sequence[int], operand: ElementType) -> str | None:
    """Why no variant computes such a convolution, or None. `image` is the input's shape, NHWC."""
    size = space.known()
    if (size["kh"], size["kw"]) != (TAPS, TAPS):
        return f"is for windows of {TAPS}x{TAPS}"
    if tuple(attrs.strides) != (1, 1) or tuple(attrs.dilations) != (1, 1) or attrs.groups != 1:
        return "is for convolutions without strides, dilations and groups"
    if max(attrs.padding) >= TAPS:
        return f"is for padding below {TAPS}"
    if image[3] == DYNAMIC:
        return "is for a static number of channels"
    return None if operand.held == F32 else f"is for what is computed in f32, got {operand.name}"


@dataclasses.dataclass(frozen=True)
class WinogradShape:
    """What the loops of a kernel are made of.

    Tiles are numbered row by row over an image. A block is a run of at most `block` of them, which may begin and end
    within rows: so blocks are as good for images of any width. At most `product_rows` tiles are multiplied at a time.
    `lanes` is how many channels are transformed together: what the schedule cuts `ic` into for local memory. Rows and
    columns of results are DYNAMIC where only a call knows them.
    """

    variant: str
    height: int
    width: int
    depth: int
    out_channels: int
    block: int
    product_rows: int
    lanes: int

    @staticmethod
    def of(kernel: KernelView) -> WinogradShape:
        """The sizes of a kernel whose schedule names a variant. Refuses one that cannot be computed so."""
        schedule, root = kernel.schedule, kernel.root
        variant, outputs = schedule.variant, VARIANTS[schedule.variant]
        image, weight = (shape_of(value) for value in root.operands)
        reason = refusal(kernel.space, attributes_of(root), image, kernel.operand_types[0])
        if reason is not None:
            raise kernel.refuse(f"{variant} {reason}")
        for cut in (schedule.cut("local"), schedule.cut("register")):
            for dim in ("oh", "ow"):
                if cut.sizes.get(dim, outputs) % outputs:
                    raise kernel.refuse(f"{variant} needs '{dim}' cut in tiles of {outputs} for '{cut.memory}'")
        height, width = (kernel.space.size(dim) for dim in ("oh", "ow"))
        tiles = None if DYNAMIC in (height, width) else -(-height // outputs) * -(-width // outputs)
        block = schedule.block("ow") // outputs
        if tiles is None and not block:
            raise kernel.refuse(f"{variant} needs 'ow' cut for 'local' where an image's size is known at run time only")
        rows = max(schedule.tile("oh"), outputs) * max(schedule.tile("ow"), outputs) // outputs**2
        return WinogradShape(
            variant,
            height=height,
            width=width,
            depth=image[3],
            out_channels=weight[0],
            block=block if tiles is None else max(1, min(block or tiles, tiles)),
            product_rows=rows,
            lanes=schedule.block("ic") or schedule.tile("oc"),
        )

    @property
    def outputs(self) -> int:
        """Results of a tile along each axis."""
        return VARIANTS[self.variant]

    @property
    def points(self) -> int:
        """Products of a tile along each axis."""
        return self.outputs + TAPS - 1

    @property
    def planes(self) -> int:
        return self.points**2

    @property
    def tiles(self) -> int | None:
        """Those of an image; None where only a call knows them."""
        if DYNAMIC in (self.height, self.width):
            return None
        return -(-self.height // self.outputs) * -(-self.width // self.outputs)

    @property
    def strip_columns(self) -> int:
        """Columns of pixels that a strip of tiles reads, at most."""
        row = STRIP if self.width == DYNAMIC else -(-self.width // self.outputs)
        return min(row, self.block, STRIP) * self.outputs + self.points - self.outputs

    @property
    def counts(self) -> list[int] | None:
        """How many tiles a block may have: the last one of an image may have fewer. None where only a call knows it."""
        if self.tiles is None:
            return None
        return sorted({self.block, self.tiles % self.block or self.block}, reverse=True)
