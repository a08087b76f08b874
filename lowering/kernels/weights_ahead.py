"""Asking for packed weights before they are read, so that memory works while tiles compute.

Weights are in panels as wide as a tile, which lie in memory in the order in which tiles read them. The first tile that
goes over a panel would wait for memory, those after it find it in a cache and leave memory idle: so all of them ask for
lines of the next panel. Where one tile has all rows, it asks for lines further on.
"""

from __future__ import annotations

import dataclasses
import math

from terrace.dialects.base import element_type_of, shape_of
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.kernels.builder import LINE, PAGE, Index, LoopBuilder
from terrace.lowering.kernels.packing import Pack, Packing, Transform
from terrace.mlir import ir

AHEAD = 2 * PAGE // LINE
"""How many lines before it is read one is asked for, where one tile has all rows."""

MOST_TILES = 32
"""Tiles that go over a panel: of more, the one that waits is too small a part."""

FEWEST_ROWS = 6
"""Rows of a tile: fewer take less time than memory does in any case, and lie where the core looks by itself."""


@dataclasses.dataclass(frozen=True)
class WeightsAhead:
    """`panels` in `memory`, which is [...][steps][width], or with `depth` neighbours for an atom
    [...][steps][width][depth].

    Each has so many `steps`, of so many `lines`. `tiles` go over one, and ask for `together` lines at a step.
    """

    memory: ir.Value
    panels: int
    steps: int
    lines: int
    depth: int
    tiles: int | None
    together: int

    @staticmethod
    def of(
        memory: ir.Value, packing: Packing | None, tile: tuple[int, int], tiles: int | None, leading: int = 1
    ) -> WeightsAhead | None:
        """Panels counted by the `leading` dimensions, for a `tile` of so many rows and columns.

        `tiles` is None where only a call knows it. The result is None where there are no panels of this width, or their
        steps are no whole lines, or nothing is to be gained.
        """
        rows, columns = tile
        if not isinstance(packing, Pack | Transform) or packing.inner_tiles[0] != columns or rows < FEWEST_ROWS:
            return None
        shape, inner = shape_of(memory), len(packing.inner_tiles)
        lines, rest = divmod(math.prod(shape[-inner:]), _elements(memory))
        if rest or (tiles or 0) > MOST_TILES:
            return None
        panels, steps = math.prod(shape[:leading]), math.prod(shape[leading:-inner])
        depth = math.prod(packing.inner_tiles[1:])
        return WeightsAhead(memory, panels, steps, lines, depth, tiles, -(-lines // (tiles or lines)))

    def ask(self, b: LoopBuilder, panel: Index, tile: Index, k: Index, size: int) -> None:
        """Ask for the share of a tile that goes over `panel`, and is at `size` of what is summed from `k` on."""
        step, length = b.floordiv(k, self.depth), self.steps * self.lines
        if self.tiles == 1:
            base, last = 0, self.panels * length - 1
            first = b.add(b.mul(b.add(b.mul(panel, self.steps), step), self.lines), AHEAD)
        else:
            base, last = b.mul(b.min(b.add(panel, 1), self.panels - 1), length), length - 1
            tile = b.mod(tile, self.tiles) if self.tiles else tile
            first = b.mul(b.add(b.mul(tile, self.steps), step), self.together)
        before = [0] * (len(shape_of(self.memory)) - 1)
        for line in range(-(-size // self.depth) * self.together):
            at = b.add(base, b.min(b.add(first, line), last))
            b.prefetch(self.memory, [*before, b.mul(at, _elements(self.memory))], near=False)


def _elements(memory: ir.Value) -> int:
    """How many elements a line has."""
    return LINE // ELEMENT_TYPES[str(element_type_of(memory))].bytes
