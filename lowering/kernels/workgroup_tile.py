"""Tiles of workgroups: spread over invocations, so larger than those that registers of one core hold.

So many elements per invocation that a contraction reads little per multiply-add. Blocks are one tile; many workgroups
are wanted. Loops along a reduction are left to drivers to unroll: what is unrolled here they compile for twice as long.
"""

from __future__ import annotations

from terrace.mlir import DYNAMIC

ACCUMULATORS = 16
"""Elements of an accumulator tile per invocation: 4 rows by 4 columns cost 8 loads for 16 multiply-adds."""

ELEMENTS = 4
"""Elements of other tiles per invocation."""

MAX_WORKGROUPS = 65535
"""Vulkan's guaranteed number of workgroups along a dimension."""

DYNAMIC_TILES = 16
"""Tiles of a workgroup along a `?`: a million rows are no more workgroups than there may be."""


def power_of_two(size: int) -> int:
    """The least power of two of `size` or more."""
    return 1 << max(size - 1, 0).bit_length()


def block_of_tiles(tile: int, size: int) -> int:
    """The least multiple of the tile that keeps to the number of workgroups there may be; a few if nobody knows."""
    if size == DYNAMIC:
        return tile * DYNAMIC_TILES
    return tile * max(1, -(-size // tile // MAX_WORKGROUPS))
