"""The sizes of a convolution by implicit GEMM, and whether it can be computed so."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.dialects.base import Attributes, attributes_of, shape_of
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.packing import PackRows
from terrace.lowering.kernels.view import KernelView
from terrace.mlir import DYNAMIC

IMPLICIT_GEMM = "implicit_gemm"
"""The variant's name in a schedule."""

MOST_TAPS = 25
"""Elements of a window: each has code of its own."""

BLOCK_ROWS = 16
"""Results that a block holds: its rows. A run of results is made of whole blocks."""


@dataclasses.dataclass(frozen=True)
class Tap:
    """An element of the window: which plane its inputs are in, and how many pixels after those of the first element."""

    row: int
    column: int
    plane: int
    offset: int


@dataclasses.dataclass(frozen=True)
class Window:
    """Where the inputs of a convolution stand that are dealt out to planes by `strides`.

    `planes` are those that are read, (row % stride, column % stride) each; `shifts` is for each element of the window
    how many rows and columns of its plane it stands after the plane's first, with the plane's number.
    """

    planes: tuple[tuple[int, int], ...]
    shifts: dict[tuple[int, int], tuple[int, int, int]]

    @staticmethod
    def of(size: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Window:
        """That of a kernel of so many rows and columns."""
        down, across = (
            [divmod(element * dilation, stride) for element in range(count)]
            for count, stride, dilation in zip(size, strides, dilations, strict=True)
        )
        planes = tuple(sorted({(y, x) for _, y in down for _, x in across}))
        shifts = {
            (row, column): (rows, columns, planes.index((y, x)))
            for row, (rows, y) in enumerate(down)
            for column, (columns, x) in enumerate(across)
        }
        return Window(planes, shifts)

    @property
    def reach(self) -> tuple[int, int]:
        """The rows and columns that the furthest element stands after the first."""
        return max(rows for rows, _, _ in self.shifts.values()), max(columns for _, columns, _ in self.shifts.values())


def refusal(space: IterationSpace, attrs: Attributes, image: Sequence[int]) -> str | None:
    """Why a convolution cannot be computed so, whatever the atom, or None. `image` is the input's shape, NHWC."""
    if attrs.groups != 1:
        return "is for convolutions without groups"
    if DYNAMIC in image[1:]:
        return "is for images of static size"
    if 0 in space.sizes:
        return "is for results that have elements"
    return None


def window_of(kernel: Sequence[int], attrs: Attributes, by_rows: bool) -> Window:
    """Where the inputs of a window of so many rows and columns stand; `by_rows`, each of its rows is one element."""
    rows, columns = kernel
    if by_rows:
        return Window.of((rows, 1), (attrs.strides[0], 1), (attrs.dilations[0], 1))
    return Window.of((rows, columns), attrs.strides, attrs.dilations)


@dataclasses.dataclass(frozen=True)
class GemmShape:
    """What the loops of a kernel are made of.

    Each element of the window has `depth` terms for a result: the input channels, or the `taken` ones of a row of the
    window and zeros. A workgroup has `block` rows of results. Its `positions` of a plane are rows of `wide` pixels, end
    to end, and as many beyond as the last run reads. A run of results stands for `rows` rows of them; tiles of `tile`
    of a run by `panel` channels are added up, `step` terms at a time.
    """

    image: tuple[int, int]
    height: int
    width: int
    channels: int
    depth: int
    taken: int
    window: Window
    block: int
    rows: int
    tile: int
    panel: int
    step: int

    @staticmethod
    def of(kernel: KernelView) -> GemmShape:
        """The sizes of a kernel whose schedule says implicit GEMM. Refuses one that cannot be computed so."""
        schedule, root = kernel.schedule, kernel.root
        attrs, (image, weight) = attributes_of(root), (shape_of(value) for value in root.operands)
        reason = refusal(kernel.space, attrs, image)
        channels, taken, *window = weight
        layout = kernel.packing_of(root.operands[1])
        terms = layout.terms if isinstance(layout, PackRows) else ()
        by_rows = bool(terms)
        taken = taken * window[1] if by_rows else taken
        height = kernel.space.size("oh")
        panel, step, tile = (schedule.tile(dim) for dim in ("oc", "ic", "ow"))
        block = min(schedule.block("oh") or height, height)
        depth = -(-taken // step) * step if by_rows else taken
        if reason is None and depth % step:
            reason = f"needs a tile that divides the {depth} input channels evenly, got {step}"
        if reason is None and by_rows and (attrs.dilations[1] != 1 or terms != (step,)):
            reason = f"needs rows of the window filled up to {step}, without dilation along them"
        if reason is None and len(window_of(window, attrs, by_rows).shifts) > MOST_TAPS:
            reason = f"is for windows of at most {MOST_TAPS} elements"
        if reason is None and tile % BLOCK_ROWS:
            reason = f"needs 'ow' cut in tiles of {BLOCK_ROWS} for 'register', got {tile}"
        if reason is not None:
            raise kernel.refuse(f"{IMPLICIT_GEMM} {reason}")
        return GemmShape(
            image=(image[1], image[2]),
            height=height,
            width=kernel.space.size("ow"),
            channels=channels,
            depth=depth,
            taken=taken,
            window=window_of(window, attrs, by_rows),
            block=block,
            rows=min(schedule.tile("oh"), block),
            tile=tile,
            panel=panel,
            step=step,
        )

    @property
    def planes(self) -> tuple[tuple[int, int], ...]:
        return self.window.planes

    @property
    def wide(self) -> int:
        """The pixels of a row of a plane."""
        return self.width + self.window.reach[1]

    @property
    def staged_rows(self) -> int:
        """The rows of a plane that a block reads."""
        return self.block + self.window.reach[0]

    @property
    def run(self) -> int:
        """The results of a run, and what is computed between and after them: whole blocks."""
        return -(-((self.rows - 1) * self.wide + self.width) // BLOCK_ROWS) * BLOCK_ROWS

    @property
    def positions(self) -> int:
        """The pixels of a plane, and those beyond that the last run reads, which make nothing that is stored."""
        last = (-(-self.block // self.rows) - 1) * self.rows
        return max(self.staged_rows * self.wide, last * self.wide + self.run + max(tap.offset for tap in self.taps))

    @property
    def taps(self) -> list[Tap]:
        """The elements of the window, row by row."""
        places = sorted(self.window.shifts.items())
        return [Tap(row, column, plane, y * self.wide + x) for (row, column), (y, x, plane) in places]
