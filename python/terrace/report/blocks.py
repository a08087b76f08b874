"""The blocks of a model: runs of layers that belong to one submodule, such as `layers.3` or `stem`."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Block:
    """The layers at the positions from `start` to before `stop`, which the submodule `name` holds."""

    name: str
    start: int
    stop: int


def find_blocks(layers: Sequence[Mapping[str, Any]]) -> list[Block]:
    """All layers, in blocks; empty where that says nothing, as no submodules are known or there is one only.

    A block is the submodule up to the first number in its path. Where those hold hardly more than a layer each, as in
    a `Sequential` of plain layers, it is what is before the number. A layer of no submodule goes with that before it.
    """
    paths = [_block_path(str(layer.get("module") or "")) for layer in layers]
    inside: dict[str, collections.Counter[str]] = {}
    for path in filter(None, paths):
        parent, _, last = path.rpartition(".")
        if last.isdecimal() and parent:
            inside.setdefault(parent, collections.Counter())[path] += 1
    flat = {parent for parent, children in inside.items() if children.total() < 2 * len(children)}
    names = [parent if (parent := path.rpartition(".")[0]) in flat else path for path in paths]
    known = next(filter(None, names), "")
    blocks: list[Block] = []
    for position, name in enumerate(names):
        known = name or known
        if blocks and blocks[-1].name == known:
            blocks[-1] = dataclasses.replace(blocks[-1], stop=position + 1)
        else:
            blocks.append(Block(known, position, position + 1))
    return blocks if len(blocks) > 1 else []


def _block_path(module: str) -> str:
    """`encoder.layer.3` of `encoder.layer.3.attention.self`; the first part of a path without a number."""
    parts = module.split(".")
    number = next((i for i, part in enumerate(parts) if part.isdecimal()), 0)
    return ".".join(parts[: number + 1])
