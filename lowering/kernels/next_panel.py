"""Asking for the next panel of packed weights while the tiles of a block go over this one.

A panel is as wide as a tile and lies in memory in the order in which tiles read it. The first tile that goes over it
waits for memory; those after it find it in a cache and leave memory idle. So all of them ask for lines of the next one.
"""

from __future__ import annotations

import dataclasses
import math

from terrace.dialects.base import element_type_of, shape_of
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.kernels.builder import LINE, Index, LoopBuilder
from terrace.lowering.kernels.packing import Pack, Packing, Transform
from terrace.mlir import ir

MOST_TILES = 32
"""Tiles that go over a panel, the first of which waits: of more, it is too small a part."""


@dataclasses.dataclass(frozen=True)
class NextPanel:
    """The panel after the one that a tile goes over, in `memory`: [...][steps][width], or with `depth` neighbours for
    an atom [...][steps][width][depth].

    There are `panels`, of so many `steps` and `lines` each. `tiles` go over one; each asks for `together` lines a step.
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
        memory: ir.Value, packing: Packing | None, width: int, tiles: int | None, leading: int = 1
    ) -> NextPanel | None:
        """So many `leading` dimensions count panels, `width` is that of a tile; None tiles are known to a call only.

        None where there are no panels of this width, or their steps are no whole lines, or nothing is to be gained.
        """
        if not isinstance(packing, Pack | Transform) or packing.inner_tiles[0] != width:
            return None
        shape, inner = shape_of(memory), len(packing.inner_tiles)
        lines, rest = divmod(math.prod(shape[-inner:]), _elements(memory))
        if rest or tiles == 1 or (tiles or 0) > MOST_TILES:
            return None
        panels, steps = math.prod(shape[:leading]), math.prod(shape[leading:-inner])
        depth = math.prod(packing.inner_tiles[1:])
        return NextPanel(memory, panels, steps, steps * lines, depth, tiles, -(-lines // (tiles or lines)))

    def ask(self, b: LoopBuilder, panel: Index, tile: Index, k: Index, size: int) -> None:
        """Ask for the share of a tile that goes over `panel`, and is at `size` of what is summed from `k` on."""
        tile = b.mod(tile, self.tiles) if self.tiles else tile
        first = b.mul(b.add(b.mul(tile, self.steps), b.floordiv(k, self.depth)), self.together)
        base = b.mul(b.min(b.add(panel, 1), self.panels - 1), self.lines)
        before = [0] * (len(shape_of(self.memory)) - 1)
        for line in range(-(-size // self.depth) * self.together):
            at = b.add(base, b.min(b.add(first, line), self.lines - 1))
            b.prefetch(self.memory, [*before, b.mul(at, _elements(self.memory))], near=False)


def _elements(memory: ir.Value) -> int:
    """How many elements a line has."""
    return LINE // ELEMENT_TYPES[str(element_type_of(memory))].bytes
