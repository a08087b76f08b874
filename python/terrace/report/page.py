"""The report as one HTML page: graph, charts and table in one file, with nothing from the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrace.report import charts, graph_drawing, words
from terrace.report.script import SCRIPT
from terrace.report.style import STYLE

OWNERS = {"terrace": "Terrace's kernels", "iree": "IREE's code generation"}

Layer = Mapping[str, Any]

_Column = tuple[str, str, Callable[[Layer], Any], Callable[[Any], str]]
"""Head, key, value and text of a column of numbers."""

_NUMBERS: tuple[_Column, ...] = (
    ("MACs", "macs", lambda layer: layer["macs"], words.count),
    ("read", "read", lambda layer: layer["read"], words.size),
    ("written", "written", lambda layer: layer["written"], words.size),
    ("weights", "weights", lambda layer: layer["weights"], words.size),
    ("working set", "live", lambda layer: layer["live"], words.size),
    ("FLOP/B", "intensity", words.intensity, lambda value: "" if value is None else f"{value:.1f}"),
)

_FIGURES = ("macs", "read", "written", "weights", "live")
"""The columns whose figures may be known as a polynomial only."""

_TIMES: tuple[_Column, ...] = (
    ("time", "seconds", lambda layer: layer.get("seconds"), lambda value: "" if value is None else words.time(value)),
    (
        "of limit",
        "of_limit",
        lambda layer: layer.get("of_limit"),
        lambda value: "" if value is None else f"{value:.0%}",
    ),
)

MEANINGS = {
    "MACs": "multiply-accumulates of matrix products and convolutions; other arithmetic is not counted",
    "read": "every distinct operand tensor once, weights too; a look-up or a slice counts what it picks",
    "written": "every result once",
    "weights": "the part of “read” that is parameters, or computed from them when the model was compiled",
    "working set": "tensors in memory while the layer runs: operands, results, and what later layers still read;"
    " without weights, and without reuse of memory in place",
    "FLOP/B": "arithmetic intensity: two floating-point operations per MAC, over bytes read and written",
    "time": "of a profiled call, the best; Terrace's kernels only, as IREE fuses its layers in its own way",
    "of limit": "the least time that the machine could take, by its multiply-adds and its memory, over the time",
    "?": "depends on a dynamic size; where it can be followed to the input, the size's symbol stands in the figure",
}


HOW_TO_TIME = (
    '<p class="hint">To add the times that a CPU takes: <code>compiled.report().to_html("page.html",'
    " profile=compiled.profile(x))</code>, or <code>terrace-run model.terrace --random 0 --profile --report page.html"
    "</code>.</p>"
)


def render(
    graph: Mapping[str, Any],
    title: str,
    subtitle: str = "",
    inputs: Sequence[str] = (),
    made: Sequence[str] = (),
) -> str:
    """The page. `graph` is what `terrace.lowering.report.layer_graph` made, `inputs` labels the model's inputs.

    `made` says when, where and with what the page was made.
    """
    layers: Sequence[Layer] = graph.get("layers", [])
    drawings = graph_drawing.draw(graph, inputs)
    shown = (*charts.CHARTS, *([charts.TIME] if _is_timed(layers) else []))
    body = [
        f'<header><h1>{words.escape(title)}</h1><span class="sub">{words.escape(subtitle)}</span>'
        f'<span class="spacer"></span>{_legend(layers)}<button id="theme">Light / dark</button>'
        f'<span class="made">{words.escape(f" {words.DOT} ".join(made))}</span></header>',
        f'<main{" class=wide" * graph_drawing.is_wide(drawings)}><section class="card left" aria-label="graph">',
        _toolbar(drawings),
        graph_drawing.ARROW,
        '<div class="canvas">',
        *(f'<div data-drawing="{name}">{svg}</div>' for name, svg in drawings.items()),
        '</div><div class="details" hidden></div></section><div class="right">',
        _tiles(layers),
        _split(layers),
        f'<section class="card charts">{"".join(charts.draw(chart, layers) for chart in shown)}'
        f"{'' if _is_timed(layers) else HOW_TO_TIME}</section>",
        _table(layers),
        "</div></main>",
        _footer(layers),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{words.escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + f'\n<script type="application/json" id="layers">{_data(layers)}</script>\n<script>{SCRIPT}</script>\n'
        + "</body></html>\n"
    )


def _is_timed(layers: Sequence[Layer]) -> bool:
    """Whether the layers carry times, as `Profile.timed` adds them."""
    return any(layer.get("seconds") is not None for layer in layers)


def _footer(layers: Sequence[Layer]) -> str:
    heads = [head for head in MEANINGS if _is_timed(layers) or head not in ("time", "of limit")]
    return f"<footer><dl>{''.join(f'<dt>{head}</dt><dd>{MEANINGS[head]}</dd>' for head in heads)}</dl></footer>"


def _legend(layers: Sequence[Layer]) -> str:
    owners = [by for by in OWNERS if any(layer["by"] == by for layer in layers)]
    return (
        '<span class="legend">'
        + "".join(f'<span><i class="{by}"></i>{words.escape(OWNERS[by])}</span>' for by in owners)
        + "</span>"
    )


def _toolbar(drawings: Mapping[str, str]) -> str:
    fold = '<button id="fold"></button>' if "folded" in drawings else ""
    return (
        f'<div class="toolbar"><h2>Graph <small>number and bar: MACs</small></h2>{fold}'
        '<button id="out" aria-label="smaller">&minus;</button>'
        '<button id="in" aria-label="larger">+</button><button id="fit">Fit</button></div>'
    )


def _tiles(layers: Sequence[Layer]) -> str:
    live = [layer["live"] for layer in layers]
    peak = None if None in live else max(live, default=0)
    ours = sum(layer["by"] == "terrace" for layer in layers)
    tiles = (
        (words.total(layers, "macs"), "MACs per call"),
        (words.total(layers, "bytes"), "read and written per call"),
        (words.total(layers, "weights"), "of that, weights"),
        (words.size(peak), "largest working set"),
        (f"{ours} of {len(layers)}", "layers run by Terrace's kernels"),
        (str(len({layer["kernel"] for layer in layers if layer["by"] == "terrace"})), "distinct kernels of Terrace's"),
    )
    return (
        '<section class="tiles">'
        + "".join(
            f'<div class="card tile"><b{" class=long" * (len(v) > 12)}>{words.escape(v)}</b><span>{k}</span></div>'
            for v, k in tiles
        )
        + "</section>"
    )


def _split(layers: Sequence[Layer]) -> str:
    """Whose code runs the MACs and moves the bytes, as a bar each."""
    parts = ['<section class="card split"><h2>Whose code does the work</h2>']
    for key, what in (("macs", "MACs"), ("bytes", "bytes moved")):
        known = [layer for layer in layers if layer[key] is not None]
        total = sum(layer[key] for layer in known)
        if not total:
            why = "depends on dynamic sizes of the input" if len(known) < len(layers) else "none"
            parts.append(f'<div class="splitlabels"><b>{what}</b><span>{why}</span></div>')
            continue
        shares = {by: sum(layer[key] for layer in known if layer["by"] == by) / total for by in OWNERS}
        bars = "".join(f'<i class="{by}" style="width:{share:.4%}"></i>' for by, share in shares.items() if share)
        labels = "".join(f"<span>{share:.1%} {OWNERS[by]}</span>" for by, share in shares.items())
        left = len(layers) - len(known)
        unknown = f"<span>({left} layers of unknown size left out)</span>" if left else ""
        parts.append(
            f'<div class="splitbar" role="img" aria-label="{what}">{bars}</div>'
            f'<div class="splitlabels"><b>{what}</b>{labels}{unknown}</div>'
        )
    return "".join([*parts, "</section>"])


def _table(layers: Sequence[Layer]) -> str:
    columns = (_NUMBERS[0], *(_TIMES if _is_timed(layers) else ()), *_NUMBERS[1:])
    heads = "".join(f'<th tabindex="0"{c}>{h}</th>' for h, c in _heads(columns))
    most = max((layer["macs"] or 0 for layer in layers), default=0)
    rows = "".join(_row(layer, most, columns) for layer in layers)
    return (
        f'<section class="card tablecard"><div class="tablebar"><h2>Layers</h2>'
        '<input id="filter" type="search" placeholder="filter" aria-label="filter"></div>'
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _heads(columns: Sequence[_Column]) -> list[tuple[str, str]]:
    names = [("#", ' class="n" aria-sort="ascending"'), ("layer", ""), ("run by", ""), ("op", ""), ("shape", "")]
    return [*names, *((head, ' class="n"') for head, _, _, _ in columns), ("why", "")]


def _row(layer: Layer, most: int, columns: Sequence[_Column]) -> str:
    shape = words.shape(layer["shape"])
    number, by, ops = words.escape(layer["id"]), words.escape(layer["by"]), words.escape(words.operation(layer))
    cells = [
        f'<td class="n" data-v="{number}">{number}</td>',
        f'<td data-v="{words.escape(words.place(layer))}" title="{words.escape(layer["kernel"])}">'
        f"{words.escape(words.shorten_left(words.place(layer), 30))}</td>",
        f'<td data-v="{by}"><i></i>{by}</td>',
        f'<td class="op" data-v="{ops}" title="{ops}">{words.escape(words.operation(layer, 30))}</td>',
        f'<td data-v="{words.escape(shape)}">{words.escape(shape)}</td>',
    ]
    for _, key, value_of, show in columns:
        value = value_of(layer)
        bar = ""
        if key == "macs" and value and most:
            bar = f'<span class="in" style="width:{value / most:.1%}"></span>'
        text = words.symbolic(layer, key) if value is None and key in _FIGURES else show(value)
        exact = f' title="{value:,}"' if isinstance(value, int) else ""
        plain = "" if value is None else words.escape(value)
        cells.append(f'<td class="n" data-v="{plain}"{exact}>{words.escape(text)}{bar}</td>')
    cells.append(
        f'<td class="why" data-v="{words.escape(layer["why"])}" title="{words.escape(layer["why"])}">'
        f"{words.escape(layer['why'])}</td>"
    )
    return f'<tr class="{by}" data-id="{number}">{"".join(cells)}</tr>'


def _data(layers: Sequence[Layer]) -> str:
    """What the details show of each layer: a title, and names with their values."""
    data = []
    for layer in layers:
        facts = [
            ("module", layer["module"]),
            ("in the model", words.origins(layer)),
            ("kernel", layer["kernel"]),
            ("its ops", " + ".join(words.own_operations(layer))),
            ("shape", words.shape(layer["shape"])),
            ("MACs", words.symbolic(layer, "macs") if layer["macs"] is None else f"{layer['macs']:,}"),
            ("read", _exact(layer, "read")),
            ("written", _exact(layer, "written")),
            ("weights", _exact(layer, "weights")),
            ("working set", _exact(layer, "live")),
            ("FLOP per byte", "" if (value := words.intensity(layer)) is None else f"{value:.2f}"),
            ("run by", f"{OWNERS.get(layer['by'], layer['by'])}: {layer['why']}"),
            ("time", "" if layer.get("seconds") is None else words.time(layer["seconds"])),
            ("of limit", "" if layer.get("of_limit") is None else f"{layer['of_limit']:.0%}"),
            ("source", layer["source"]),
        ]
        data.append([f"{layer['id']}  {words.operation(layer)}", [[name, value] for name, value in facts if value]])
    # These could end the script element, or begin a comment in it.
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _exact(layer: Layer, key: str) -> str:
    value = layer[key]
    return words.symbolic(layer, key) if value is None else f"{words.size(value)} ({value:,} bytes)"
