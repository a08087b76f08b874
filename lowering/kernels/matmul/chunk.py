"""Chunks of k: how many terms of a product are added up before their sum joins the whole one.

One long sum would lose digits: each of its terms is rounded to the last place of all that came before.
"""

from __future__ import annotations

CHUNK = 512
"""The most terms of a chunk."""

SHORT_CHUNK = 64
"""The most terms of a chunk where results are few, as a schedule may say. Libraries sum such products in lanes along k,
which rounds less than chunks of 512 do.
"""

FEW_RESULTS = 64
"""So many results are few: their totals, and what these lose, stay in registers beside the sum of a chunk."""


def chunk_of(k: int, multiple: int = 1, longest: int = CHUNK) -> int:
    """The size of the chunks of a sum of `k` terms, of `longest` at most, a multiple of `multiple`.

    It leaves no rest, which would be another loop to compile, if there is such a size.
    """
    if k <= longest:
        return k
    sizes = [size for size in range(longest // 4, longest + 1) if k % size == 0 and size % multiple == 0]
    return max(sizes, key=lambda size: (size % 16 == 0, size), default=longest)
