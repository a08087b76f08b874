"""Where the boxes and lines of a directed acyclic graph go: the layered method of Sugiyama, Tagawa and Toda (1981).

Ranks by longest path, a dummy node wherever an edge passes a rank, the order within ranks by barycentres, and
coordinates by least squares that keep that order. Lines that would pass more than `LONGEST` ranks are not drawn as
lines: `Layout.stubs` has them, to be shown as a word at both ends.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence

LONGEST = 12
"""Ranks that a line may pass: as a rule, what fits on a screen."""

SWEEPS = 8
RANK_GAP = 30.0
NODE_GAP = 20.0
DUMMY_WIDTH = 10.0
STRAIGHT = 12
"""How much more than a neighbour a line pulls what is on it."""
AXIS = 0.0
"""The middle of the drawing, which pulls every box as a neighbour does."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A node, by the middle of its upper edge."""

    x: float
    y: float
    width: float
    height: float


Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Boxes by node, the points that each drawn edge passes, and the edges that are too long to draw."""

    boxes: dict[str, Box]
    lines: dict[tuple[str, str], list[Point]]
    stubs: list[tuple[str, str]]
    width: float
    height: float


def lay_out(sizes: dict[str, tuple[float, float]], edges: Iterable[tuple[str, str]]) -> Layout:
    """Lay out the nodes of `sizes` (width, height), which must be in topological order."""
    edges = list(dict.fromkeys(edges))
    rank = _ranks(list(sizes), edges)
    drawn = [(a, b) for a, b in edges if rank[b] - rank[a] <= LONGEST]
    stubs = [edge for edge in edges if edge not in set(drawn)]
    chains = {edge: _chain(edge, rank) for edge in drawn}
    widths = {name: width for name, (width, _) in sizes.items()}
    rows: list[list[str]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for name, row in rank.items():
        rows[row].append(name)
    for (source, _), chain in chains.items():
        for offset, name in enumerate(chain[1:-1], 1):
            rows[rank[source] + offset].append(name)
            widths[name] = DUMMY_WIDTH
    links = [pair for chain in chains.values() for pair in itertools.pairwise(chain)]
    above, below = _neighbours(links)
    _order(rows, above, below)
    x = _coordinates(rows, widths, above, below)
    return _place(sizes, rows, x, widths, chains, stubs)


def _ranks(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The longest path to each node; then what only waits for a later reader moves down to just above it."""
    rank = dict.fromkeys(nodes, 0)
    followers: dict[str, list[str]] = defaultdict(list)
    reads: set[str] = set()
    for a, b in edges:
        followers[a].append(b)
        reads.add(b)
    for node in nodes:
        for follower in followers[node]:
            rank[follower] = max(rank[follower], rank[node] + 1)
    for node in reversed(nodes):
        if node not in reads and followers[node]:
            rank[node] = min(rank[follower] for follower in followers[node]) - 1
    lowest = min(rank.values(), default=0)
    return {node: value - lowest for node, value in rank.items()}


def _chain(edge: tuple[str, str], rank: dict[str, int]) -> list[str]:
    """The edge's ends, and between them a dummy per rank that it passes."""
    a, b = edge
    return [a, *(f"{a}>{b}@{row}" for row in range(rank[a] + 1, rank[b])), b]


def _neighbours(links: Iterable[tuple[str, str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = defaultdict(list)
    below: dict[str, list[str]] = defaultdict(list)
    for a, b in links:
        below[a].append(b)
        above[b].append(a)
    return above, below


def _order(rows: list[list[str]], above: dict[str, list[str]], below: dict[str, list[str]]) -> None:
    """Sort each row by the mean place of its neighbours, downwards and upwards in turn; keep the fewest crossings."""
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        order = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        for index in order:
            fixed = rows[index - 1 if sweep % 2 == 0 else index + 1]
            place = {name: number for number, name in enumerate(fixed)}
            own = {name: float(number) for number, name in enumerate(rows[index])}
            for name in rows[index]:
                found = [place[other] for other in neighbours[name] if other in place]
                if found:
                    own[name] = sum(found) / len(found)
            rows[index].sort(key=own.__getitem__)
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    rows[:] = best


def _crossings(rows: Sequence[Sequence[str]], below: dict[str, list[str]]) -> int:
    total = 0
    for row, following in itertools.pairwise(rows):
        place = {name: number for number, name in enumerate(following)}
        ends = [[place[other] for other in below[name]] for name in row]
        for i, left in enumerate(ends):
            total += sum(a > b for right in ends[i + 1 :] for a in left for b in right)
    return total


def _coordinates(
    rows: Sequence[Sequence[str]],
    widths: dict[str, float],
    above: dict[str, list[str]],
    below: dict[str, list[str]],
) -> dict[str, float]:
    """The middle of each node: as near to the mean of its neighbours as its row's order allows."""
    x: dict[str, float] = {}
    for row in rows:
        wanted = [(0.0, 1.0) for _ in row]
        x.update(zip(row, _spread(wanted, [widths[name] for name in row]), strict=True))
    lines = _lines(rows, above, below)
    for sweep in range(8 * SWEEPS):
        # What is to be straight is drawn to its common mean.
        mean = {name: sum(x[other] for other in line) / len(line) for line in lines for name in line}
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = []
            for name in row:
                pulls = [x[other] for other in above[name] + below[name]]
                pulls += [mean[name]] * STRAIGHT if name in mean else []
                pulls += [] if "@" in name else [AXIS]
                wanted.append((sum(pulls) / len(pulls), float(len(pulls))))
            x.update(zip(row, _spread(wanted, [widths[name] for name in row]), strict=True))
    _straighten(rows, widths, x, lines)
    return x


def _lines(rows: Sequence[Sequence[str]], above: dict[str, list[str]], below: dict[str, list[str]]) -> list[list[str]]:
    """What is to be straight: the dummies of an edge, and runs of boxes that have only each other on that side."""
    lines: dict[str, list[str]] = defaultdict(list)
    first: dict[str, str] = {}
    for row in rows:
        for name in row:
            if "@" in name:
                lines[name.rpartition("@")[0]].append(name)
                continue
            up = above[name]
            follows = len(up) == 1 and "@" not in up[0] and len(below[up[0]]) == 1
            first[name] = first[up[0]] if follows else name
            lines[first[name]].append(name)
    return [line for line in lines.values() if len(line) > 1]


def _straighten(
    rows: Sequence[Sequence[str]], widths: dict[str, float], x: dict[str, float], lines: Sequence[Sequence[str]]
) -> None:
    """Put each line at its mean, where its neighbours in all its rows leave room for that."""
    place = {name: (row, number) for row in rows for number, name in enumerate(row)}

    def has_room(name: str, at: float) -> bool:
        row, number = place[name]
        near = [row[i] for i in (number - 1, number + 1) if 0 <= i < len(row)]
        gaps = [abs(x[other] - at) - (widths[other] + widths[name]) / 2 for other in near]
        keeps_order = all((x[other] < at) == (row.index(other) < number) for other in near)
        return keeps_order and all(gap >= NODE_GAP / 2 for gap in gaps)

    for line in lines:
        mean = sum(x[name] for name in line) / len(line)
        if all(has_room(name, mean) for name in line):
            x.update(dict.fromkeys(line, mean))


def _spread(wanted: Sequence[tuple[float, float]], widths: Sequence[float]) -> list[float]:
    """Places in this order, none overlapping, of the least weighted squared distance from the wanted ones.

    Without the widths this is isotonic regression, which pooling adjacent violators solves exactly.
    """
    offsets = [0.0]
    for left, right in itertools.pairwise(widths):
        offsets.append(offsets[-1] + (left + right) / 2 + NODE_GAP)
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for (place, weight), offset in zip(wanted, offsets, strict=False):
        pools.append((place - offset, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean_a, weight_a, count_a), (mean_b, weight_b, count_b) = pools[-2], pools[-1]
            weight_ab = weight_a + weight_b
            pools[-2:] = [((mean_a * weight_a + mean_b * weight_b) / weight_ab, weight_ab, count_a + count_b)]
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _place(
    sizes: dict[str, tuple[float, float]],
    rows: Sequence[Sequence[str]],
    x: dict[str, float],
    widths: dict[str, float],
    chains: dict[tuple[str, str], list[str]],
    stubs: list[tuple[str, str]],
) -> Layout:
    left = min((x[name] - widths[name] / 2 for name in x), default=0.0)
    right = max((x[name] + widths[name] / 2 for name in x), default=0.0)
    boxes: dict[str, Box] = {}
    middle: dict[str, tuple[float, float, float]] = {}
    y = 0.0
    for row in rows:
        height = max((sizes[name][1] for name in row if name in sizes), default=0.0)
        for name in row:
            if name in sizes:
                boxes[name] = Box(x[name] - left, y + (height - sizes[name][1]) / 2, *sizes[name])
            middle[name] = (x[name] - left, y, y + height)
        y += height + RANK_GAP
    lines = {}
    for (a, b), chain in chains.items():
        points = [(boxes[a].x, boxes[a].y + boxes[a].height)]
        for name in chain[1:-1]:
            place, top, bottom = middle[name]
            points += [(place, top), (place, bottom)]
        lines[a, b] = [*points, (boxes[b].x, boxes[b].y)]
    return Layout(boxes, lines, stubs, right - left, max(y - RANK_GAP, 0.0))
