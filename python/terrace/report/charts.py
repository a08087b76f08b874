"""Bar charts over the layers, in the order in which they run, as SVG."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrace.report import words
from terrace.report.blocks import Block, find_blocks

WIDTH, HEIGHT = 960.0, 208.0
LEFT, RIGHT, TOP, BOTTOM = 74.0, 12.0, 34.0, 40.0
LABELS = 3
"""Bars that carry their name: the highest."""
BLOCK_LABELS = 30.0
"""Room below the axis for the names of blocks and their totals."""
MANY = 60
"""From this many layers on, a bar behind those of a block shows its total: they are too thin to be read one by one."""
LETTER = 6.4
"""The width of a letter below the axis."""

Layer = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Series:
    """A part of each bar: its figure, and the CSS class that colours it."""

    key: str
    style: str = ""


@dataclasses.dataclass(frozen=True)
class Chart:
    """What a chart shows. Bars of several series stand on each other."""

    title: str
    unit: str
    series: tuple[Series, ...]
    show: Callable[[float | None], str]
    base: float = 10.0
    unknown: str = words.UNKNOWN
    """What stands in the place of a bar that is not known."""
    sums: bool = True
    """Whether a block's figure is the sum of its layers', or the most of them."""

    def of_block(self, totals: Sequence[float | None]) -> float | None:
        """The figure of a block from those of its layers; None if one is not known."""
        known = [total for total in totals if total is not None]
        if len(known) < len(totals) and self.unknown:
            return None
        return sum(known) if self.sums else max(known, default=0.0)


CHARTS = (
    Chart("Multiply-accumulates per layer", "MACs", (Series("macs"),), words.count),
    Chart(
        "Working set per layer: tensors in memory while it runs",
        "bytes",
        (Series("live"),),
        words.size,
        2.0,
        sums=False,
    ),
    Chart(
        "Memory traffic per layer: read (solid) and written (light)",
        "bytes",
        (Series("read"), Series("written", "light")),
        words.size,
        2.0,
    ),
)


TIME = Chart("Time per layer that Terrace's kernels run", "seconds", (Series("seconds"),), words.time, unknown="")


def ticks(most: float, base: float) -> list[float]:
    """Three to five round numbers from 0 to `most` or just above: 1, 2 and 5 times a power of 10, or powers of 2."""
    if most <= 0:
        return [0.0, 1.0]
    if base == 2.0:
        step = 2.0 ** math.ceil(math.log2(most / 4))
    else:
        power = 10.0 ** math.floor(math.log10(most / 4))
        step = next(m * power for m in (1, 2, 5, 10) if m * power * 4 >= most)
    return [step * i for i in range(math.ceil(most / step - 1e-9) + 1)]


def draw(chart: Chart, layers: Sequence[Layer]) -> str:
    """The chart of these layers. A figure that is not known has no bar, and its layer a question mark."""
    totals = [_total(chart, layer) for layer in layers]
    if not any(totals):
        return _empty(chart, layers)
    blocks = find_blocks(layers)
    figures = [chart.of_block(totals[block.start : block.stop]) for block in blocks]
    behind = figures if len(layers) >= MANY and chart.sums else []
    marks = ticks(max((t for t in (*totals, *behind) if t is not None), default=0.0), chart.base)
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    step = plot_width / max(len(layers), 1)
    floor = HEIGHT - BOTTOM
    height = HEIGHT + (BLOCK_LABELS if blocks else 0)

    def y(value: float) -> float:
        return floor - value / marks[-1] * plot_height

    parts = [
        f'<svg class="chart" role="img" aria-label="{words.escape(chart.title)}" viewBox="0 0 {WIDTH:.0f} {height:.0f}"'
        f' preserveAspectRatio="xMidYMid meet"><text class="charttitle" x="0" y="15">{words.escape(chart.title)}</text>'
    ]
    parts += [_block(chart, *both, step, number) for number, both in enumerate(zip(blocks, figures, strict=True))]
    for mark in marks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{y(mark) + 4:.1f}" text-anchor="end">{chart.show(mark)}</text>'
        )
    for block, figure in zip(blocks, behind, strict=False):
        left, width = LEFT + block.start * step, (block.stop - block.start) * step
        parts.append(
            f'<rect class="blocktotal" x="{left + 1:.1f}" y="{y(figure or 0.0):.1f}" width="{max(width - 2, 1):.1f}"'
            f' height="{floor - y(figure or 0.0):.1f}"/>'
        )
    gap = min(3.0, 0.25 * step)
    for number, layer in enumerate(layers):
        parts.append(_bars(chart, layer, LEFT + number * step + gap / 2, step - gap, y, (TOP, floor)))
    parts += _direct_labels(chart, layers, totals, step, y)
    parts += _axis(chart, len(layers), step, height)
    return "\n".join([*parts, "</svg>"])


def _empty(chart: Chart, layers: Sequence[Layer]) -> str:
    """A line in the place of a chart without bars."""
    unknown = any(_total(chart, layer) is None for layer in layers)
    why = "depends on dynamic sizes of the input" if unknown else "none"
    return (
        f'<svg class="chart" role="img" aria-label="{words.escape(chart.title)}" viewBox="0 0 {WIDTH:.0f} 42">'
        f'<text class="charttitle" x="0" y="15">{words.escape(chart.title)}</text>'
        f'<text class="axis" x="0" y="34">{why}</text></svg>'
    )


def _total(chart: Chart, layer: Layer) -> float | None:
    values = [layer.get(series.key) for series in chart.series]
    return None if None in values else float(sum(v for v in values if v is not None))


def _bars(
    chart: Chart, layer: Layer, x: float, width: float, y: Callable[[float], float], area: tuple[float, float]
) -> str:
    top, floor = area
    text = " + ".join(chart.show(layer.get(series.key)) for series in chart.series)
    unit = " MACs" if chart.unit == "MACs" else ""
    bars = []
    below = 0.0
    if _total(chart, layer) is None:
        place = f'x="{x + width / 2:.1f}" y="{floor - 4:.1f}"'
        bars.append(f'<text class="tick" {place} text-anchor="middle">{words.escape(chart.unknown)}</text>')
    else:
        for series in chart.series:
            value = float(layer[series.key])
            height = y(below) - y(below + value)
            bars.append(
                f'<rect class="bar {series.style}" x="{x:.2f}" y="{y(below + value):.2f}" width="{width:.2f}"'
                f' height="{height:.2f}"/>'
            )
            below += value
    title = words.escape(f"{words.place(layer)}: {words.operation(layer)}\n{text}{unit}")
    return (
        f'<g class="column {words.escape(layer["by"])}" data-id="{words.escape(layer["id"])}"><title>{title}</title>'
        f'<rect class="hit" x="{x:.2f}" y="{top}" width="{width:.2f}" height="{floor - top:.1f}"/>{"".join(bars)}</g>'
    )


def _direct_labels(
    chart: Chart,
    layers: Sequence[Layer],
    totals: Sequence[float | None],
    step: float,
    y: Callable[[float], float],
) -> list[str]:
    """Names at the highest bars, none over another."""
    order = sorted((i for i, t in enumerate(totals) if t), key=lambda i: -(totals[i] or 0.0))
    taken: list[tuple[float, float]] = []
    parts = []
    for i in order:
        text = f"{words.shorten_left(words.name(layers[i]), 24)} · {chart.show(totals[i])}"
        half = 3.5 * len(text)
        x = min(max(LEFT + (i + 0.5) * step, LEFT + half), WIDTH - RIGHT - half)
        first, last = int((x - half - LEFT) / step), int((x + half - LEFT) / step) + 1
        stands_out = all((t or 0.0) <= (totals[i] or 0.0) for t in totals[max(first, 0) : last])
        if stands_out and all(x + half < left - 24 or x - half > right + 24 for left, right in taken):
            taken.append((x - half, x + half))
            parts.append(
                f'<text class="direct" x="{x:.1f}" y="{y(totals[i] or 0.0) - 5:.1f}" text-anchor="middle">'
                f"{words.escape(text)}</text>"
            )
        if len(taken) == LABELS:
            break
    return parts


def _block(chart: Chart, block: Block, figure: float | None, step: float, number: int) -> str:
    """A shade behind every other block, and below the axis its name and figure where they fit."""
    floor = HEIGHT - BOTTOM
    left, width = LEFT + block.start * step, (block.stop - block.start) * step
    shown = "" if figure is None and not chart.unknown else chart.show(figure)
    title = f"{block.name}: {shown}{'' if chart.sums else ' at most'}\nlayers {block.start} to {block.stop - 1}"
    parts = [
        f'<g class="block{" odd" * (number % 2)}"><title>{words.escape(title)}</title>'
        f'<rect x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM + 48:.1f}"/>'
    ]
    letters = int((width - 4) / LETTER)
    for text, style, down in ((words.shorten_left(block.name, letters), "blockname", 30), (shown, "tick", 43)):
        if len(text) <= letters and (text == block.name or style == "tick" or letters >= 7):
            parts.append(
                f'<text class="{style}" x="{left + width / 2:.1f}" y="{floor + down:.1f}" text-anchor="middle">'
                f"{words.escape(text)}</text>"
            )
    return "".join([*parts, "</g>"])


def _axis(chart: Chart, layers: int, step: float, height: float) -> list[str]:
    """The layers' numbers along the lower edge, and what both axes are."""
    floor = HEIGHT - BOTTOM
    of_blocks = f"; below, each block and its {'total' if chart.sums else 'largest'}" if height > HEIGHT else ""
    every = next(e for e in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1 << 30) if e * step >= 34)
    parts = [
        f'<text class="tick" x="{LEFT + (i + 0.5) * step:.1f}" y="{floor + 15:.1f}" text-anchor="middle">{i}</text>'
        for i in range(0, layers, every)
    ]
    parts.append(
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{height - 7:.1f}" text-anchor="middle">'
        f"layer, in the order in which they run{of_blocks}</text>"
    )
    middle = (TOP + floor) / 2
    parts.append(
        f'<text class="axis" transform="translate(11 {middle:.1f}) rotate(-90)" text-anchor="middle">'
        f"{words.escape(chart.unit)}</text>"
    )
    return parts
