"""`--plot`: one chart for each group of cases, all contestants' times over that of the best peer, as one SVG."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from terrace.report.words import escape
from terrace.tools.bench.report import MEAN, OURS, Row, clock, groups, names_of, peers_of, seconds

WIDTH, LEFT, RIGHT = 860, 190, 24
TOP, LINE, GAP = 46, 21, 34
"""Above the charts, the height of a case, between two charts."""

TICKS = (0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0)
OUR_COLOUR = "#c02942"
COLOURS = ("#4a7bd0", "#e0a030", "#3f9b5f", "#8c62b8", "#7a7a7a", "#33a5b8")

CLOCKS = {"cpu": "CPU", "wall": "wall"}
STYLE = "font: 12px sans-serif; fill: #222"

Dots = dict[str, float]
"""Times of contestants over that of the best peer."""


def draw(measured: Mapping[str, Any]) -> str:
    """The charts of everything that was measured, by the clock that its threads ask for; logarithmic."""
    by, found = clock(measured), groups(measured)
    charts = {group: _dots(rows, by) for group, rows in found.items()}
    names = [OURS, *names_of([row for rows in found.values() for row in rows])]
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names[1:])} | {OURS: OUR_COLOUR}
    every = [dot for lines in charts.values() for _, dots in lines for dot in dots.values()] or [1.0]
    low = max((tick for tick in TICKS if tick <= min(every)), default=TICKS[0])
    high = min((tick for tick in TICKS if tick >= max(every)), default=TICKS[-1])
    parts, y = _legend(names, colours), TOP
    for group, lines in charts.items():
        title = f"{group}: {CLOCKS[by]} time over that of the best peer, less is better"
        parts.append(f'<text x="12" y="{y + 12}" style="{STYLE}; font-weight: bold">{escape(title)}</text>')
        parts += _chart(lines, y + 20, (low, high), colours)
        y += 20 + LINE * len(lines) + GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>', *parts, "</svg>\n"])


def _dots(rows: Sequence[Row], by: str) -> list[tuple[str, Dots]]:
    """The line of each case that has a peer, and one of means."""
    lines = []
    for row in rows:
        peers = peers_of(row)
        if peers:
            best = min(seconds(row, name, by) for name in peers)
            lines.append((row["case"], {name: seconds(row, name, by) / best for name in (*peers, OURS)}))
    of = {name: [dots[name] for _, dots in lines if name in dots] for name in (*names_of(rows), OURS)}
    means = {name: statistics.geometric_mean(dots) for name, dots in of.items() if dots}
    return [*lines, (MEAN, means)] if len(lines) > 1 else lines


def _legend(names: Sequence[str], colours: Mapping[str, str]) -> list[str]:
    parts, x = [], 12.0
    for name in names:
        parts.append(f'<circle cx="{x + 5}" cy="20" r="5" fill="{colours[name]}"/>')
        parts.append(f'<text x="{x + 15}" y="24" style="{STYLE}">{escape(name)}</text>')
        x += 34 + 7 * len(name)
    return parts


def _chart(
    lines: Sequence[tuple[str, Dots]], top: float, ends: tuple[float, float], colours: Mapping[str, str]
) -> list[str]:
    """Dots over vertical lines; Terrace's, on top, are larger, and a bar leads there from the best peer."""
    low, high = ends
    bottom = top + LINE * len(lines)

    def x(value: float) -> float:
        part = math.log(min(max(value, low), high) / low) / math.log(high / low) if high > low else 0.5
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    parts = []
    for tick in (tick for tick in TICKS if low <= tick <= high):
        colour = "#888" if tick == 1 else "#e2e2e2"
        parts.append(f'<path d="M{x(tick):.1f} {top}V{bottom}" stroke="{colour}"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle" style="{STYLE}">{tick:g}</text>')
    for number, (case, dots) in enumerate(lines):
        y = top + LINE * (number + 0.5)
        weight = "; font-weight: bold" if case == MEAN else ""
        parts.append(
            f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end" style="{STYLE}{weight}">{escape(case)}</text>'
        )
        ours = x(dots[OURS])
        parts.append(f'<path d="M{x(1):.1f} {y}H{ours:.1f}" stroke="{colours[OURS]}" stroke-width="3" opacity=".35"/>')
        for name, value in dots.items():
            title = f"<title>{escape(f'{case}, {name}: {value:.2f}')}</title>"
            radius = 6 if name == OURS else 4
            parts.append(f'<circle cx="{x(value):.1f}" cy="{y}" r="{radius}" fill="{colours[name]}">{title}</circle>')
    return parts
