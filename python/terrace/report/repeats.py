"""Finding what a model repeats: the blocks of a transformer are drawn once, with how often they run."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

LEAST = 3
"""Fewer repetitions are all drawn."""


@dataclasses.dataclass(frozen=True)
class Repeat:
    """`count` times the same `period` layers, the first of them at the position `start`."""

    start: int
    period: int
    count: int

    @property
    def stop(self) -> int:
        return self.start + self.period * self.count


def find_repeat(layers: Sequence[Mapping[str, Any]]) -> Repeat | None:
    """The repetition that covers most layers; of equals the one of the shortest period.

    It is cut where fewest lines cross, and of such places where one submodule begins: its layers' paths have most in
    common. Two layers are the same if they run the same kernel on the same shape.
    """
    keys: list[Hashable] = [(layer["kernel"], layer["op"], tuple(layer["shape"])) for layer in layers]
    runs = [run for period in range(2, len(keys) // LEAST + 1) for run in _runs(keys, period)]
    longest = max((period * count for _, period, count, _ in runs), default=0)
    runs = [run for run in runs if run[1] * run[2] == longest]
    if not runs:
        return None
    first, period, count, slack = min(runs, key=lambda run: run[1])
    ends = _last_readers(layers)

    def cut(start: int) -> tuple[int, int]:
        crossing = sum(sum(i < at <= end for i, end in ends.items()) for at in (start, start + period * count))
        return crossing, -len(common_path(layers[start : start + period]))

    return Repeat(min(range(first, first + slack + 1), key=cut), period, count)


def common_path(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The parts that the submodules of `layers` begin with, all alike; those without one do not count."""
    paths = [layer["module"].split(".") for layer in layers if layer.get("module")]
    alike = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    return [parts[0] for parts in alike]


def _runs(keys: Sequence[Hashable], period: int) -> list[tuple[int, int, int, int]]:
    """(first, period, count, slack): where keys repeat at that distance, and how far the start may be moved."""
    found = []
    first = None
    for i in range(len(keys) - period + 1):
        same = i + period < len(keys) and keys[i] == keys[i + period]
        if same and first is None:
            first = i
        if not same and first is not None:
            length = i - first + period
            if length // period >= LEAST:
                found.append((first, period, length // period, length % period))
            first = None
    return found


def _last_readers(layers: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """For each layer's position, that of the last one that reads it."""
    last: dict[int, int] = {}
    for position, layer in enumerate(layers):
        for source in layer["inputs"]:
            if source.isdecimal():
                last[int(source)] = position
    return last
