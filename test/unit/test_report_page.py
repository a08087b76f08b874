"""Drawing the report: where boxes stand, what is folded, how numbers look, and that the page needs nothing else."""

from __future__ import annotations

import html.parser
import itertools
import random
import re
from typing import Any

import pytest
from terrace.report import charts, words
from terrace.report.blocks import Block, find_blocks
from terrace.report.layered_layout import LONGEST, lay_out
from terrace.report.page import render
from terrace.report.repeats import Repeat, find_repeat
from terrace.runtime.surroundings import describe_surroundings

SIZE = (100.0, 40.0)


def layer(number: int, op: str, inputs: list[str], **figures: Any) -> dict[str, Any]:
    """A layer of the report; figures not given are small numbers."""
    known = {"macs": 100, "read": 64, "written": 64, "bytes": 128, "weights": 0, "live": 128}
    words_ = {
        "kernel": f"{op}_4x4",
        "shape": [4, 4],
        "by": "terrace",
        "why": "",
        "module": "",
        "source": "",
        "calls": 1,
    }
    return {"id": number, "op": op, "inputs": inputs, **words_, **known, **figures}


def chain(ops: list[str]) -> list[dict[str, Any]]:
    return [layer(i, op, [str(i - 1)] if i else ["input 0"]) for i, op in enumerate(ops)]


# -- layout -----------------------------------------------------------------------------------------------------------


def random_graph(seed: int, nodes: int) -> tuple[dict[str, tuple[float, float]], list[tuple[str, str]]]:
    """Nodes in topological order, of which near ones are likelier to be connected."""
    chance = random.Random(seed)
    pairs = [(a, b) for b in range(nodes) for a in range(max(0, b - 9), b)]
    edges = [(f"n{a}", f"n{b}") for a, b in pairs if chance.random() < 2 / (b - a + 1) ** 1.5]
    return {f"n{i}": SIZE for i in range(nodes)}, edges


@pytest.mark.parametrize("seed", range(6))
def test_boxes_stand_apart_and_lines_run_down(seed: int) -> None:
    sizes, edges = random_graph(seed, 40)
    layout = lay_out(sizes, edges)
    assert set(layout.boxes) == set(sizes)
    for a, b in itertools.combinations(layout.boxes.values(), 2):
        apart = abs(a.x - b.x) >= SIZE[0] - 1e-6 or abs(a.y - b.y) >= SIZE[1] - 1e-6
        assert apart, (a, b)
    for (a, b), points in layout.lines.items():
        assert points[0] == (layout.boxes[a].x, layout.boxes[a].y + SIZE[1])
        assert points[-1] == (layout.boxes[b].x, layout.boxes[b].y)
        heights = [y for _, y in points]
        assert heights == sorted(heights)
    assert set(layout.lines) | set(layout.stubs) == set(edges)
    assert all(0 <= box.x <= layout.width and 0 <= box.y <= layout.height for box in layout.boxes.values())


def test_lines_go_round_boxes() -> None:
    """A line that passes a rank passes beside its boxes."""
    layout = lay_out(dict.fromkeys("abc", SIZE), [("a", "b"), ("b", "c"), ("a", "c")])
    box = layout.boxes["b"]
    beside = [x for x, y in layout.lines["a", "c"] if box.y <= y <= box.y + SIZE[1]]
    assert beside and all(abs(x - box.x) > SIZE[0] / 2 for x in beside)


def test_a_chain_is_straight() -> None:
    layout = lay_out(dict.fromkeys("abcd", SIZE), list(itertools.pairwise("abcd")))
    assert len({round(box.x, 3) for box in layout.boxes.values()}) == 1


def test_long_lines_become_words() -> None:
    names = [f"n{i}" for i in range(LONGEST + 3)]
    far = (names[0], names[-1])
    layout = lay_out(dict.fromkeys(names, SIZE), [*itertools.pairwise(names), far])
    assert layout.stubs == [far] and far not in layout.lines


def test_nothing_to_lay_out() -> None:
    assert lay_out({}, []).height == 0


# -- repeats ----------------------------------------------------------------------------------------------------------


def test_blocks_are_found() -> None:
    ops = ["embed", *["norm", "mix", "up", "down"] * 5, "norm", "head"]
    layers = chain(ops)
    for number in range(20):
        layers[1 + number]["module"] = f"blocks.{number // 4}.part"
    assert find_repeat(layers) == Repeat(1, 4, 5)


def test_two_of_a_kind_are_drawn() -> None:
    assert find_repeat(chain(["a", "b", "c", "b", "c", "d"])) is None
    assert find_repeat([]) is None


def test_equal_ops_of_other_shapes_are_no_repetition() -> None:
    layers = chain(["a", "b"] * 4)
    for number, one in enumerate(layers):
        one["shape"] = [number]
    assert find_repeat(layers) is None


def in_modules(modules: list[str]) -> list[dict[str, Any]]:
    layers = chain(["relu"] * len(modules))
    for one, module in zip(layers, modules, strict=True):
        one["module"] = module
    return layers


def test_layers_are_grouped_by_block() -> None:
    modules = ["tokens", "", "layers.0.norm", "", "layers.0.up", "layers.1.norm", "layers.1.up", "head"]
    blocks = [Block("tokens", 0, 2), Block("layers.0", 2, 5), Block("layers.1", 5, 7), Block("head", 7, 8)]
    assert find_blocks(in_modules(modules)) == blocks


def test_a_sequence_of_plain_layers_is_one_block() -> None:
    modules = ["features.0", "features.0", "features.1", "features.2", "classifier.0", "classifier.3"]
    assert find_blocks(in_modules(modules)) == [Block("features", 0, 4), Block("classifier", 4, 6)]


@pytest.mark.parametrize("modules", [[], ["", ""], ["norm", "norm"], ["0.a"]])
def test_one_block_is_none(modules: list[str]) -> None:
    assert find_blocks(in_modules(modules)) == []


def test_a_chart_names_its_blocks_and_their_totals() -> None:
    layers = in_modules(["stem", "stem", "stage.0.a", "stage.0.b", "stage.1.a", "stage.1.b"])
    layers[4]["macs"] = None
    work, memory, _ = (charts.draw(chart, layers) for chart in charts.CHARTS)
    totals = [text for text, _ in re.findall(r"<title>((?:stem|stage)[^\n]*)\n(layers .*)</title>", work)]
    assert totals == ["stem: 200", "stage.0: 200", "stage.1: ?"]
    assert ">stage.0</text>" in work and "blocktotal" not in work
    assert "<title>stem: 128 B at most\n" in memory
    assert work.count("blocktotal") == 0 and charts.draw(charts.CHARTS[0], layers * 10).count("blocktotal") == 30


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "counted", "sized"),
    [
        (0, "0", "0 B"),
        (999, "999", "999 B"),
        (1000, "1 k", "1000 B"),
        (1024, "1.02 k", "1 KiB"),
        (1_810_000_000, "1.81 G", "1.69 GiB"),
        (None, "?", "?"),
    ],
)
def test_numbers(value: int | None, counted: str, sized: str) -> None:
    assert (words.count(value), words.size(value)) == (counted, sized)


def test_intensity() -> None:
    assert words.intensity({"macs": 64, "bytes": 32}) == 4.0
    assert words.intensity({"macs": 0, "bytes": 32}) is None and words.intensity({"macs": None, "bytes": 4}) is None


def test_layers_are_called_by_the_model_s_ops() -> None:
    called = ["conv2d", "batch_norm", "add", "relu"]
    one = layer(0, "conv2d+add+add+relu", [], called=called, origins=[["conv2d", "a.conv"], ["relu", ""]])
    assert words.operation(one) == "conv2d + batch_norm + add + relu"
    assert words.operation(one, 22) == "conv2d + 3 more"
    assert words.operation_lines(one, 22, 2) == ["conv2d + batch_norm", "+ add + relu"]
    assert words.operation_lines(one, 10, 2) == ["conv2d", "+ batch_n…"]
    assert words.origins(one) == "conv2d (a.conv), relu"
    assert words.operation_lines(layer(0, "matmul+add", []), 22, 2) == ["matmul + add"]


@pytest.mark.parametrize("most", [1, 3, 7, 10, 99, 1.81e9, 4096])
@pytest.mark.parametrize("base", [2.0, 10.0])
def test_ticks_reach_the_highest(most: float, base: float) -> None:
    marks = charts.ticks(most, base)
    assert marks[0] == 0 and marks[-2] < most <= marks[-1] and 3 <= len(marks) <= 6


# -- page -------------------------------------------------------------------------------------------------------------


class _Elements(html.parser.HTMLParser):
    """All elements of a page; fails where tags do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Elements()
    parser.feed(page)
    assert not parser.open
    return parser.found


def test_the_page_needs_nothing_else() -> None:
    page = render({"layers": chain(["a", "b", "c"]), "outputs": ["2"]}, "model", inputs=["x"])
    found = elements(page)
    assert not {"src", "href"} & {name for _, attributes in found for name in attributes}
    assert not {"link", "img", "iframe"} & {tag for tag, _ in found}
    assert "http" not in page and "@import" not in page and "url(" not in page.replace("url(#arrow)", "")


def test_a_box_a_row_and_three_bars_per_layer() -> None:
    layers = chain(["a", "b", "c"])
    found = elements(render({"layers": layers, "outputs": ["2"]}, "model", inputs=["x"]))
    of_class = [str(attributes.get("class", "")).split() for _, attributes in found]
    assert sum({"node", "layer"} <= set(classes) for classes in of_class) == 3
    assert sum("edge" in classes for classes in of_class) == 4
    assert sum(tag == "tr" and "data-id" in attributes for tag, attributes in found) == 3
    assert sum("column" in classes for classes in of_class) == 3 * len(charts.CHARTS)


def test_repeats_are_drawn_folded_and_whole() -> None:
    layers = chain(["embed", *["norm", "mix"] * 6, "head"])
    found = elements(render({"layers": layers, "outputs": ["13"]}, "model"))
    assert [a["data-drawing"] for _, a in found if "data-drawing" in a] == ["folded", "whole"]
    # The arrow is in neither, as one of them is hidden.
    assert [
        a.get("data-drawing") or a.get("id") for _, a in found if "data-drawing" in a or a.get("id") == "arrow"
    ] == [
        "arrow",
        "folded",
        "whole",
    ]
    boxes = sum(str(a.get("class")).startswith("node layer") for _, a in found)
    assert boxes == (1 + 2 + 1) + 14


def test_figures_that_are_not_known_are_question_marks() -> None:
    unknown = dict.fromkeys(("macs", "read", "written", "bytes", "weights", "live"))
    page = render({"layers": [layer(0, "relu", ["input 0"], **unknown)], "outputs": ["0"]}, "model", inputs=["x"])
    elements(page)
    assert "<b>?</b><span>MACs per call</span>" in page and "None" not in page


def test_dynamic_figures_show_their_symbols() -> None:
    unknown = dict.fromkeys(("macs", "read", "written", "bytes", "live"))
    symbolic = {"macs": [[2048, "n"]], "bytes": [[256], [1024, "n"]], "read": [[128, "n"], [256]]}
    layers = [layer(0, "a", [], **unknown, symbolic=symbolic), layer(1, "b", ["0"], macs=100, bytes=512)]
    page = render({"layers": layers, "outputs": ["1"]}, "model")
    elements(page)
    dot = "\N{MIDDLE DOT}"
    assert f">100 + 2.05 k{dot}n</b><span>MACs per call" in page
    assert f">768 B + 1 KiB{dot}n</b>" in page and f"128 B{dot}n + 256 B" in page


def test_times_are_shown_where_they_are_known() -> None:
    layers = chain(["a", "b"])
    assert "of limit" not in render({"layers": layers, "outputs": ["1"]}, "model")
    layers[0] |= {"seconds": 2.5e-3, "of_limit": 0.875}
    page = render({"layers": layers, "outputs": ["1"]}, "model")
    found = elements(page)
    assert "2.5 ms" in page and "88%" in page
    columns = sum("column" in str(attributes.get("class", "")).split() for _, attributes in found)
    assert columns == 2 * (len(charts.CHARTS) + 1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(2, "2 s"), (0.0125, "12.5 ms"), (5e-8, "0.05 \N{MICRO SIGN}s"), (0, "0")]
)
def test_times(seconds: float, text: str) -> None:
    assert words.time(seconds).startswith(text)


def test_the_page_says_when_and_where_it_was_made_and_how_to_add_times() -> None:
    graph = {"layers": chain(["a", "b"]), "outputs": ["1"]}
    page = render(graph, "model", made=["2026-11-28", "a CPU"])
    assert "2026-11-28 \N{MIDDLE DOT} a CPU" in page and "profile=compiled.profile(x)" in page
    graph["layers"][0]["seconds"] = 1e-3
    assert "profile=compiled.profile(x)" not in render(graph, "model")
    when, machine, packages = describe_surroundings()
    assert when.endswith("UTC") and machine.endswith(("core", "cores")) and "Terrace " in packages


def test_names_are_text() -> None:
    hostile = "</script><script>alert(1)</script>"
    names = {"called": [hostile], "origins": [[hostile, hostile]], "module": hostile}
    layers = [layer(0, "relu", ["input 0"], why='"><b>', **names), layer(1, "relu", ["0"])]
    page = render({"layers": layers, "outputs": ["0"]}, hostile, hostile, [hostile], [hostile])
    elements(page)
    assert "<script>alert" not in page


def test_a_model_without_layers() -> None:
    elements(render({}, "nothing"))
