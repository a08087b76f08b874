"""The model's graph as SVG: a box per layer, coloured by whose code runs it; whole, or its repeats folded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from terrace.report import words
from terrace.report.layered_layout import Box, Layout, Point, lay_out
from terrace.report.repeats import Repeat, common_path, find_repeat

BOX = (190.0, 50.0)
LINE = 16.0
"""Between the lines of a box; one with two lines of ops is higher by so much."""
SMALL = (190.0, 28.0)
FOLD = (190.0, 46.0)
MARGIN = 22.0
TEXT = 22
"""Letters that fit a box."""
OP_LINES = 2
WIDE = 640
"""From this width on, a drawing gets more of the page."""


ARROW = (
    '<svg width="0" height="0" class="defs"><defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4"'
    ' markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0.6 L8 4 L0 7.4 z" class="tip"/></marker></defs></svg>'
)
"""The head of all drawings' lines, beside them: in a drawing that is hidden it would be hidden for the others, too."""


@dataclasses.dataclass
class _Node:
    """What is drawn: a layer, an input or output of the model, or the folded rest of a repetition."""

    name: str
    kind: str
    size: tuple[float, float]
    label: str = ""
    layer: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class _Graph:
    nodes: list[_Node]
    edges: list[tuple[str, str]]
    band: tuple[list[str], str] | None
    """The boxes of the repetition that is drawn, and what is written beside them."""


def draw(graph: Mapping[str, Any], inputs: Sequence[str]) -> dict[str, str]:
    """The drawings by name: `whole`, and `folded` if the model repeats itself. `inputs` labels the model's inputs."""
    layers = graph.get("layers", [])
    repeat = find_repeat(layers)
    drawings = {"whole": _svg(_nodes(graph, inputs, None), layers)}
    if repeat is not None:
        drawings = {"folded": _svg(_nodes(graph, inputs, repeat), layers), **drawings}
    return drawings


def is_wide(drawings: Mapping[str, str]) -> bool:
    """Whether the first drawing, which is shown first, wants more of the page's width."""
    first = next(iter(drawings.values()))
    return int(first.partition('data-width="')[2].partition('"')[0]) > WIDE


def _nodes(graph: Mapping[str, Any], inputs: Sequence[str], repeat: Repeat | None) -> _Graph:
    layers = graph.get("layers", [])
    read = {source for layer in layers for source in layer["inputs"]} | set(graph.get("outputs", []))
    names = {str(position): str(position) for position in range(len(layers))}
    fold: range | None = None
    if repeat is not None:
        fold = range(repeat.start + repeat.period, repeat.stop)
        names.update({str(position): "fold" for position in fold})
    nodes = [
        _Node(f"input {number}", "end", SMALL, words.shorten(label, 28))
        for number, label in enumerate(inputs)
        if f"input {number}" in read
    ]
    for position, layer in enumerate(layers):
        if fold is not None and position == fold.start:
            assert repeat is not None
            nodes.append(
                _Node("fold", "fold", FOLD, f"{repeat.count - 1} {words.TIMES} the same {repeat.period} layers")
            )
        if names[str(position)] != "fold":
            lines = words.operation_lines(layer, TEXT, OP_LINES)
            nodes.append(_Node(str(position), "layer", (BOX[0], BOX[1] + LINE * (len(lines) - 1)), layer=layer))
    nodes.append(_Node("output", "end", SMALL, "output"))
    edges = [
        (names.get(source, source), names[str(position)])
        for position, layer in enumerate(layers)
        for source in layer["inputs"]
    ]
    edges += [(names.get(source, source), "output") for source in graph.get("outputs", [])]
    band = None
    if repeat is not None:
        drawn = [str(position) for position in range(repeat.start, repeat.start + repeat.period)]
        first = ".".join(common_path(layers[repeat.start : repeat.start + repeat.period]))
        band = drawn, f"{first or 'these layers'}: drawn once, runs {repeat.count} times"
    known = {node.name for node in nodes}
    return _Graph(nodes, [(a, b) for a, b in edges if a != b and {a, b} <= known], band)


def _svg(graph: _Graph, layers: Sequence[Mapping[str, Any]]) -> str:
    layout = lay_out({node.name: node.size for node in graph.nodes}, graph.edges)
    most = max((layer["macs"] or 0 for layer in layers), default=0)
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    parts = [
        f'<svg class="graph" role="img" aria-label="the model\'s layers" data-width="{width:.0f}"'
        f' viewBox="{-MARGIN} {-MARGIN} {width:.1f} {height:.1f}" width="{width:.0f}" height="{height:.0f}">',
    ]
    if graph.band is not None:
        parts.append(_band(layout, *graph.band))
    parts += [
        f'<path class="edge" data-from="{words.escape(a)}" data-to="{words.escape(b)}" d="{_path(points)}"/>'
        for (a, b), points in layout.lines.items()
    ]
    for node in graph.nodes:
        parts.append(_box(node, layout.boxes[node.name], most))
    parts += _stubs(layout, layers)
    return "\n".join([*parts, "</svg>"])


def _path(points: Sequence[Point]) -> str:
    """Curves that leave and arrive vertically, and straight lines past the ranks between."""
    x, y = points[0]
    path = [f"M{x:.1f} {y:.1f}"]
    for number, (to_x, to_y) in enumerate(points[1:]):
        last = number == len(points) - 2
        end = to_y - (2 if last else 0)
        if number % 2 == 0:
            half = (y + end) / 2
            path.append(f"C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {end:.1f}")
        else:
            path.append(f"L{to_x:.1f} {end:.1f}")
        x, y = to_x, end
    return "".join(path)


def _band(layout: Layout, names: Sequence[str], label: str) -> str:
    """A shade behind the boxes of a repetition."""
    boxes = [layout.boxes[name] for name in names]
    left = min(box.x - box.width / 2 for box in boxes) - 14
    right = max(box.x + box.width / 2 for box in boxes) + 14
    top = min(box.y for box in boxes) - 16
    bottom = max(box.y + box.height for box in boxes) + 10
    return (
        f'<rect class="band" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
        f' rx="14"/><text class="bandlabel" x="{left + 10:.1f}" y="{top + 11:.1f}">{words.escape(label)}</text>'
    )


def _box(node: _Node, box: Box, most: int) -> str:
    left = box.x - box.width / 2
    if node.layer is None:
        style = "end" if node.kind == "end" else "fold"
        middle = box.y + box.height / 2 + 4
        behind = ""
        if node.kind == "fold":  # a stack of sheets
            behind = "".join(
                f'<rect x="{left + 5 * i:.1f}" y="{box.y + 4 * i:.1f}" width="{box.width - 10 * i:.1f}"'
                f' height="{box.height:.1f}" rx="9"/>'
                for i in (2, 1)
            )
        return (
            f'<g class="node {style}">{behind}<rect x="{left:.1f}" y="{box.y:.1f}" width="{box.width:.1f}"'
            f' height="{box.height:.1f}" rx="{box.height / 2 if style == "end" else 9:.0f}"/>'
            f'<text x="{box.x:.1f}" y="{middle:.1f}" text-anchor="middle">{words.escape(node.label)}</text></g>'
        )
    layer = node.layer
    share = (layer["macs"] or 0) / most if most else 0.0
    macs = words.symbolic(layer, "macs") if layer["macs"] is None else words.count(layer["macs"] or None)
    macs = "" if layer["macs"] == 0 else macs
    bar = ""
    if share:
        bar = (
            f'<rect class="share" x="{left + 10:.1f}" y="{box.y + box.height - 5:.1f}"'
            f' width="{max(2.0, share * (box.width - 20)):.1f}" height="2.5" rx="1.2"/>'
        )
    ops = "".join(
        f'<text class="op" x="{left + 13:.1f}" y="{box.y + 20 + LINE * number:.1f}">{words.escape(line)}</text>'
        for number, line in enumerate(words.operation_lines(layer, TEXT, OP_LINES))
    )
    below = box.y + box.height - 13
    return (
        f'<g class="node layer {words.escape(layer["by"])}" data-id="{words.escape(node.name)}" tabindex="0">'
        f"<title>{words.escape(_tooltip(layer))}</title>"
        f'<rect class="body" x="{left:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="9"/>'
        f'<rect class="stripe" x="{left:.1f}" y="{box.y + 9:.1f}" width="3.5" height="{box.height - 18:.1f}" rx="1.7"/>'
        f'{ops}<text class="place" x="{left + 13:.1f}" y="{below:.1f}">{words.escape(_second_line(layer))}</text>'
        f'<text class="macs" x="{left + box.width - 10:.1f}" y="{below:.1f}" text-anchor="end">'
        f"{words.escape(macs)}</text>{bar}</g>"
    )


def _second_line(layer: Mapping[str, Any]) -> str:
    """The submodule; the shape of what has none."""
    text = layer.get("module") or words.shape(layer["shape"])
    return words.shorten_left(text, 22 if layer["macs"] else 29)


def _tooltip(layer: Mapping[str, Any]) -> str:
    origins = f"{words.origins(layer)}\n" if layer.get("origins") else ""
    return (
        f"{words.operation(layer)}\n{origins}{words.shape(layer['shape'])}\n{words.count(layer['macs'])} MACs\n"
        f"reads {words.size(layer['read'])}, writes {words.size(layer['written'])}"
    )


def _stubs(layout: Layout, layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Words in the place of lines that would run past everything: where it comes from, and how many read it."""
    parts = []
    readers: dict[str, int] = {}
    for source, target in layout.stubs:
        readers[source] = readers.get(source, 0) + 1
        box = layout.boxes[target]
        what = words.operation(layers[int(source)], 14) if source.isdecimal() else source
        go = f' data-go="{words.escape(source)}"' if source.isdecimal() else ""
        x, y = box.x + box.width / 2 - 6, box.y - 5
        parts.append(f'<text class="stub" text-anchor="end" x="{x:.1f}" y="{y:.1f}"{go}>↑ {words.escape(what)}</text>')
    for source, number in readers.items():
        box = layout.boxes[source]
        x, y = box.x + box.width / 2 - 6, box.y + box.height + 12
        plural = "s" if number > 1 else ""
        parts.append(
            f'<text class="stub" text-anchor="end" x="{x:.1f}" y="{y:.1f}">↓ {number} reader{plural} below</text>'
        )
    return parts
