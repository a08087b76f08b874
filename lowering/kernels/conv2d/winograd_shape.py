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


def refusal(space: IterationSpace, attrs: Attributes, image: Sequence[int], operand: ElementType) -> str | None:
    """Why no variant computes such a convolution, or None. `image` is the input's shape, NHWC."""
    size = space.known()
    if (size["kh"], size["kw"]) != (TAPS, TAPS):
        return f"is for windows of {TAPS}x{TAPS}"
    if tuple(attrs.strides) != (1, 1) or tuple(attrs.dilations) != (1, 1) or attrs.groups != 1:
        return "is for convolutions without strides, dilations and groups"
    if max(attrs.padding) >= TAPS:
        return f"is for padding below {TAPS}"
    if DYNAMIC in image[1:]:
        return "is for images of static size"
    return None if operand.held == F32 else f"is for what is computed in f32, got {operand.name}"


@dataclasses.dataclass(frozen=True)
class WinogradShape:
    """What the loops of a kernel are made of. Blocks count tiles.

    `product_rows` is how many tiles are multiplied at a time, at most. `lanes` is how many channels are transformed
    together: what the schedule cuts `ic` into for local memory.
    """

    variant: str
    image_height: int
    image_width: int
    height: int
    width: int
    depth: int
    out_channels: int
    block_rows: int
    block_columns: int
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
        size = kernel.space.known()
        for cut in (schedule.cut("local"), schedule.cut("register")):
            for dim in ("oh", "ow"):
                if cut.sizes.get(dim, outputs) % outputs:
                    raise kernel.refuse(f"{variant} needs '{dim}' cut in tiles of {outputs} for '{cut.memory}'")
        tiles = {dim: -(-size[dim] // outputs) for dim in ("oh", "ow")}
        blocks = {dim: min(schedule.block(dim) // outputs or tiles[dim], tiles[dim]) for dim in tiles}
        rows = max(schedule.tile("oh"), outputs) * max(schedule.tile("ow"), outputs) // outputs**2
        return WinogradShape(
            variant,
            image_height=image[1],
            image_width=image[2],
            height=size["oh"],
            width=size["ow"],
            depth=image[3],
            out_channels=weight[0],
            block_rows=blocks["oh"],
            block_columns=blocks["ow"],
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
    def rows(self) -> int:
        """Rows of tiles of an image."""
        return -(-self.height // self.outputs)

    @property
    def columns(self) -> int:
        return -(-self.width // self.outputs)

    @property
    def counts(self) -> list[int]:
        """How many tiles a block may have: those at the edges may have fewer."""
        heights, widths = (
            {min(block, total), total % block or block}
            for block, total in ((self.block_rows, self.rows), (self.block_columns, self.columns))
        )
        return sorted({height * width for height in heights for width in widths}, reverse=True)
