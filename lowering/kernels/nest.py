"""The loops that the cuts of a schedule stand for, made once for all families."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.view import KernelView

TileBody: TypeAlias = Callable[[dict[str, Span]], None]
"""Called on every tile, with where it stands in each dimension."""


def nest(
    b: LoopBuilder,
    kernel: KernelView,
    sizes: Mapping[str, Index],
    enter: Callable[[Mapping[str, Index]], TileBody],
    first: Sequence[str] = (),
) -> None:
    """Loops over all tiles of the dimensions in `sizes`, cut by cut.

    `enter` is called where a block begins, with its start in each dimension that is cut into blocks: it may fill the
    block's memory, and gives what runs on every tile. Dimensions in `first` are stepped one by one before.
    """
    with workgroups(b, kernel, sizes) as start, contextlib.ExitStack() as stack:
        for dim in (d for d in first if d in sizes):
            block = kernel.schedule.block(dim)
            start[dim] = stack.enter_context(b.for_block(start.get(dim, 0), block, sizes[dim]))
        body = enter(start)
        over_tiles(b, kernel, {d: size for d, size in sizes.items() if d not in first}, start, body)


@contextlib.contextmanager
def workgroups(b: LoopBuilder, kernel: KernelView, sizes: Mapping[str, Index]) -> Iterator[dict[str, Index]]:
    """The body of one workgroup: where its block starts in each dimension of `sizes` that is cut into blocks.

    The blocks of parallel dimensions are spread over workgroups, those of others follow each other.
    """
    cut = kernel.schedule.cut("local")
    for name in cut.parallel:
        if name not in sizes:
            raise kernel.refuse(f"{kernel.generator} cannot run '{name}' in parallel")
    bounds = [b.ceildiv(sizes[d], cut.sizes[d]) for d in cut.parallel]
    with contextlib.ExitStack() as stack:
        ids = stack.enter_context(b.parallel(bounds))
        start = {d: b.mul(i, cut.sizes[d]) for d, i in zip(cut.parallel, ids, strict=True)}
        for dim, block in cut.sizes.items():
            if dim in sizes and dim not in cut.parallel:
                start[dim] = stack.enter_context(b.for_each(0, sizes[dim], block))
        yield start


def over_tiles(
    b: LoopBuilder, kernel: KernelView, sizes: Mapping[str, Index], start: Mapping[str, Index], body: TileBody
) -> None:
    """Run `body` on every tile of a workgroup's block of the dimensions in `sizes`, which begins at `start`.

    Dimensions that the cut for registers does not name are stepped one by one, outermost.
    """
    schedule = kernel.schedule
    named = schedule.cut("register").sizes
    order = [d for d in sizes if d not in named] + [d for d in named if d in sizes]
    spans: dict[str, Span] = {}

    def loops(remaining: Sequence[str]) -> None:
        if not remaining:
            body(spans)
            return
        dim, *inner = remaining

        def tile(offset: Index, size: int, valid: Index | None) -> None:
            spans[dim] = (offset, size, valid)
            loops(inner)

        b.tiles(start.get(dim, 0), schedule.block(dim), sizes[dim], schedule.tile(dim), tile)

    loops(order)
