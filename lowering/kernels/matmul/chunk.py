"""Chunks of k: how many terms of a product are added up before their sum joins the whole one.

One long sum would lose digits: each of its terms is rounded to the last place of all that came before.
"""

from __future__ import annotations

CHUNK = 512
"""The most terms of a chunk."""


def chunk_of(k: int, multiple: int = 1) -> int:
    """The size of the chunks of a sum of `k` terms, a multiple of `multiple`: no schedule changes it.

    It leaves no rest, which would be another loop to compile, if there is such a size.
    """
    if k <= CHUNK:
        return k
    sizes = [size for size in range(CHUNK // 4, CHUNK + 1) if k % size == 0 and size % multiple == 0]
    return max(sizes, key=lambda size: (size % 16 == 0, size), default=CHUNK)
